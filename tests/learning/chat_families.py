"""Chat templates as the families of today document their formats, and what each must write.

The templates are written for these tests. What they must write is spelled out by hand, for the
three talks below: the prompt, and what is learnt of the answer; or why the talk is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Turns = tuple[tuple[str, str], ...]

WITH_SYSTEM: Turns = (
    ("system", "Be brief."),
    ("user", "Name a colour."),
    ("assistant", "Blue."),
)
TWO_TURNS: Turns = (
    ("user", "Hi."),
    ("assistant", "Hello!"),
    ("user", "What is 1 and 2?"),
    ("assistant", "It is 3."),
)
EMPTY_SYSTEM: Turns = (("system", ""), ("user", "Hi."), ("assistant", "Yo."))
TALKS = (WITH_SYSTEM, TWO_TURNS, EMPTY_SYSTEM)


@dataclass(frozen=True)
class Refused:
    """What the message must say."""

    match: str


Expected = tuple[str, str] | Refused


@dataclass(frozen=True)
class Family:
    """A template with its special tokens, and prompt and learnt text of each of `TALKS`."""

    template: str
    expected: tuple[Expected, Expected, Expected]
    special: tuple[str, ...] = ()
    bos: str | None = None
    eos: str = "</s>"
    swallows: tuple[str, ...] = ()  # special tokens that hold the white space after them
    options: dict[str, Any] = field(default_factory=dict)
    appended: bool = False  # the template ends no turn: the end token follows


LLAMA = """{{- bos_token }}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = '' %}
{%- endif %}
{{- '<|start_header_id|>system<|end_header_id|>\\n\\n' }}
{%- if tools is not none %}{{- 'Environment: ipython\\n' }}{%- endif %}
{{- 'Cutting Knowledge Date: December 2023\\nToday Date: ' + strftime_now('%d %b %Y') + '\\n\\n' }}
{{- system_message + '<|eot_id|>' }}
{%- for message in messages %}
    {%- if message.role in ('tool', 'ipython') %}
        {{- '<|start_header_id|>ipython<|end_header_id|>\\n\\n' + message.content | tojson }}
    {%- else %}
        {{- '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' }}
        {%- if 'tool_calls' in message %}
            {%- if message.tool_calls | length != 1 %}
                {{- raise_exception('This model only supports single tool-calls at once!') }}
            {%- endif %}
            {%- set call = message.tool_calls[0].function %}
            {{- '{"name": "' + call.name + '", "parameters": ' + call.arguments | tojson + '}' }}
        {%- else %}
            {{- message.content | trim }}
        {%- endif %}
    {%- endif %}
    {{- '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}"""

LLAMA_HEAD = (
    "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: "
    "December 2023\nToday Date: 03 Feb 2026\n\n"
)

CHATML = """{%- for message in messages %}
    {%- if loop.first and message.role != 'system' %}
        {{- '<|im_start|>system\\nYou are Qwen, a helpful assistant.<|im_end|>\\n' }}
    {%- endif %}
    {%- if message.role == 'tool' %}
        {{- '<|im_start|>user\\n<tool_response>\\n' + message.content + '\\n</tool_response>' }}
    {%- else %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content }}
        {%- for call in message.tool_calls or [] %}
            {{- '<tool_call>\\n' + call.function | tojson + '\\n</tool_call>' }}
        {%- endfor %}
    {%- endif %}
    {{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"""

QWEN3 = """{%- set ns = namespace(last=0) %}
{%- for message in messages %}
    {%- if message.role == 'user' %}{%- set ns.last = loop.index0 %}{%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.role == 'assistant' %}
        {%- set content = message.content %}
        {%- set thought = message.reasoning_content or '' %}
        {%- if '</think>' in content %}
            {%- set thought = content.split('</think>')[0].split('<think>')[-1].strip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {{- '<|im_start|>assistant\\n' }}
        {%- if loop.index0 > ns.last and (loop.last or thought) %}
            {{- '<think>\\n' + thought + '\\n</think>\\n\\n' }}
        {%- endif %}
        {{- content + '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}"""

QWEN3_PROMPTS = (
    "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nName a colour.<|im_end|>\n"
    "<|im_start|>assistant\n",
    "<|im_start|>user\nHi.<|im_end|>\n<|im_start|>assistant\nHello!<|im_end|>\n"
    "<|im_start|>user\nWhat is 1 and 2?<|im_end|>\n<|im_start|>assistant\n",
    "<|im_start|>system\n<|im_end|>\n<|im_start|>user\nHi.<|im_end|>\n<|im_start|>assistant\n",
)

GEMMA2 = """{{ bos_token }}{% if messages[0]['role'] == 'system' %}
{{ raise_exception('System role not supported') }}{% endif %}
{%- for message in messages %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('Conversation roles must alternate user/assistant/user/...') }}
    {%- endif %}
    {%- set role = 'model' if message['role'] == 'assistant' else message['role'] %}
    {{- '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<start_of_turn>model\\n' }}{%- endif %}"""

GEMMA3 = """{{ bos_token }}{%- set first = '' %}
{%- if messages[0]['role'] == 'system' %}
    {%- set first = messages[0]['content'] + '\\n\\n' %}
    {%- set messages = messages[1:] %}
{%- endif %}
{%- for message in messages %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('Conversation roles must alternate user/assistant/user/...') }}
    {%- endif %}
    {%- set role = 'model' if message['role'] == 'assistant' else message['role'] %}
    {{- '<start_of_turn>' + role + '\\n' + (first if loop.first else '') }}
    {{- message['content'] | trim + '<end_of_turn>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<start_of_turn>model\\n' }}{%- endif %}"""

MISTRAL = """{{- bos_token }}
{%- for message in messages %}
    {%- if message.role == 'system' %}
        {{- '[SYSTEM_PROMPT] ' + message.content + '[/SYSTEM_PROMPT]' }}
    {%- elif message.role == 'user' %}
        {{- '[INST] ' + message.content + '[/INST]' }}
    {%- elif message.role == 'assistant' %}
        {{- ' ' + message.content + eos_token }}
    {%- else %}
        {{- raise_exception('Only user, system and assistant roles are supported!') }}
    {%- endif %}
{%- endfor %}"""

PHI3 = """{% for message in messages %}{% if message['content'] %}
{{- '<|' + message['role'] + '|>\\n' + message['content'] + '<|end|>\\n' }}
{%- endif %}{% endfor %}
{%- if add_generation_prompt %}{{- '<|assistant|>\\n' }}{% else %}{{- eos_token }}{% endif %}"""

PHI4 = """{% for message in messages %}
{{- '<|im_start|>' + message['role'] + '<|im_sep|>' + message['content'] + '<|im_end|>' }}
{%- endfor %}{% if add_generation_prompt %}{{- '<|im_start|>assistant<|im_sep|>' }}{% endif %}"""

DEEPSEEK_V3 = """{{ bos_token }}
{%- for message in messages if message.role == 'system' %}{{- message.content }}{%- endfor %}
{%- for message in messages %}
    {%- if message.role == 'user' %}{{- '<｜User｜>' + message.content }}{%- endif %}
    {%- if message.role == 'assistant' %}
        {{- '<｜Assistant｜>' + message.content + '<｜end▁of▁sentence｜>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<｜Assistant｜>' }}{%- endif %}"""

DEEPSEEK_R1 = DEEPSEEK_V3.replace(
    "+ message.content + '<｜end▁", "+ message.content.split('</think>')[-1] + '<｜end▁"
).replace("{{- '<｜Assistant｜>' }}", "{{- '<｜Assistant｜><think>\\n' }}")

GRANITE = """{%- if messages[0].role == 'system' %}
    {%- set system = messages[0].content %}{%- set messages = messages[1:] %}
{%- else %}
    {%- set system = "Knowledge Cutoff Date: April 2024.\\nToday's Date: "
        + strftime_now('%B %d, %Y') + '.\\nYou are Granite, developed by IBM.' %}
{%- endif %}
{{- '<|start_of_role|>system<|end_of_role|>' + system + '<|end_of_text|>\\n' }}
{%- for message in messages %}
    {{- '<|start_of_role|>' + message.role + '<|end_of_role|>' + message.content }}
    {{- '<|end_of_text|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start_of_role|>assistant<|end_of_role|>' }}{%- endif %}"""

SMOLLM3 = """{%- set mode = '/think' if enable_thinking | default(true) else '/no_think' %}
{{- '<|im_start|>system\\n## Metadata\\n\\nToday Date: ' + strftime_now('%d %B %Y') }}
{{- '\\nReasoning Mode: ' + mode + '\\n\\n## Custom Instructions\\n\\n' }}
{%- if messages[0].role == 'system' %}
    {{- messages[0].content.rstrip() + '\\n\\n' }}{%- set messages = messages[1:] %}
{%- endif %}
{{- '<|im_end|>\\n' }}
{%- for message in messages %}
    {%- if message.role == 'user' %}
        {{- '<|im_start|>user\\n' + message.content + '<|im_end|>\\n' }}
    {%- elif message.role == 'assistant' %}
        {{- '<|im_start|>assistant\\n' }}
        {%- if mode == '/no_think' %}{{- '<think>\\n\\n</think>\\n' }}{%- endif %}
        {{- message.content.lstrip('\\n') + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if mode == '/no_think' %}{{- '<think>\\n\\n</think>\\n' }}{%- endif %}
{%- endif %}"""

SMOLLM3_HEAD = (
    "<|im_start|>system\n## Metadata\n\nToday Date: 03 February 2026\nReasoning Mode: /no_think\n\n"
    "## Custom Instructions\n\n"
)

HARMONY = """{{- '<|start|>system<|message|>You are ChatGPT.\\nCurrent date: ' }}
{{- strftime_now('%Y-%m-%d') + '\\n\\nReasoning: ' + (reasoning_effort or 'medium') + '<|end|>' }}
{%- if messages[0].role in ('system', 'developer') %}
    {%- if messages[0].content %}
        {{- '<|start|>developer<|message|># Instructions\\n\\n' + messages[0].content }}
        {{- '\\n\\n<|end|>' }}
    {%- endif %}
    {%- set messages = messages[1:] %}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'user' %}
        {{- '<|start|>user<|message|>' + message.content + '<|end|>' }}
    {%- elif message.role == 'assistant' and loop.last and not add_generation_prompt %}
        {%- if message.thinking %}
            {{- '<|start|>assistant<|channel|>analysis<|message|>' + message.thinking + '<|end|>' }}
        {%- endif %}
        {{- '<|start|>assistant<|channel|>final<|message|>' + message.content + '<|return|>' }}
    {%- elif message.role == 'assistant' %}
        {{- '<|start|>assistant<|channel|>final<|message|>' + message.content + '<|end|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start|>assistant' }}{%- endif %}"""

HARMONY_HEAD = (
    "<|start|>system<|message|>You are ChatGPT.\nCurrent date: 2026-02-03\n\nReasoning: low<|end|>"
)

COMMAND = """{{ bos_token }}{% for message in messages %}
{%- set names = {'system': 'SYSTEM', 'user': 'USER', 'assistant': 'CHATBOT'} %}
{{- '<|START_OF_TURN_TOKEN|><|' + names[message['role']] + '_TOKEN|>' }}
{{- message['content'].strip() + '<|END_OF_TURN_TOKEN|>' }}{% endfor %}
{%- if add_generation_prompt %}{{- '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>' }}{% endif %}"""

GLM4 = """[gMASK]<sop>{% for message in messages %}
{{- '<|' + message.role + '|>\\n' + message.content }}
{%- endfor %}{% if add_generation_prompt %}{{- '<|assistant|>' }}{% endif %}"""

ZEPHYR = """{% for message in messages %}
{{- '<|' + message['role'] + '|>\\n' + message['content'] + eos_token + '\\n' }}
{%- endfor %}{% if add_generation_prompt %}{{- '<|assistant|>\\n' }}{% endif %}"""

NO_FLAG = """{% for message in messages %}
{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}
{%- endfor %}"""

# The end is no special token; with the line break after it, it may be one token.
MARKED = """{% for message in messages %}
{{- message['role'] + ': ' + message['content'] + '</turn>\\n' }}
{%- endfor %}{% if add_generation_prompt %}{{- 'assistant: ' }}{% endif %}"""

LINES = """{% for message in messages %}
{{- {'system': 'Note', 'user': 'You', 'assistant': 'Bot'}[message['role']] + ':' }}
{{- ' ' + message['content'] | trim + '\\n' }}
{%- endfor %}{% if add_generation_prompt %}{{- 'Bot:' }}{% endif %}"""

VICUNA = """{{ bos_token }}{% if messages[0]['role'] == 'system' %}
{{- messages[0]['content'] + ' ' }}{% set messages = messages[1:] %}{% endif %}
{%- for message in messages %}
    {%- if message['role'] == 'user' %}{{- 'USER: ' + message['content'] + ' ' }}
    {%- else %}{{- 'ASSISTANT: ' + message['content'] + eos_token }}{%- endif %}
{%- endfor %}{% if add_generation_prompt %}{{- 'ASSISTANT:' }}{% endif %}"""

# Another opening once there is an answer.
OPENS_ELSE = """{% for message in messages %}
{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}
{%- endfor %}{% if add_generation_prompt %}{{- '<|im_start|>model\\n' }}{% endif %}"""

OPENED = Refused("opens the answer in another way than it writes it")
IM = ("<|im_start|>", "<|im_end|>")

FAMILIES = {
    "llama-3.2": Family(
        LLAMA,
        (
            (
                LLAMA_HEAD + "Be brief.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n"
                "Name a colour.<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
                "Blue.<|eot_id|>",
            ),
            (
                LLAMA_HEAD + "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHi.<|eot_id|>"
                "<|start_header_id|>assistant<|end_header_id|>\n\nHello!<|eot_id|>"
                "<|start_header_id|>user<|end_header_id|>\n\nWhat is 1 and 2?<|eot_id|>"
                "<|start_header_id|>assistant<|end_header_id|>\n\n",
                "It is 3.<|eot_id|>",
            ),
            (
                LLAMA_HEAD + "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHi.<|eot_id|>"
                "<|start_header_id|>assistant<|end_header_id|>\n\n",
                "Yo.<|eot_id|>",
            ),
        ),
        ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        bos="<|begin_of_text|>",
        eos="<|eot_id|>",
    ),
    "qwen2.5": Family(
        CHATML,
        (
            (QWEN3_PROMPTS[0], "Blue.<|im_end|>"),
            (
                "<|im_start|>system\nYou are Qwen, a helpful assistant.<|im_end|>\n"
                + QWEN3_PROMPTS[1],
                "It is 3.<|im_end|>",
            ),
            (QWEN3_PROMPTS[2], "Yo.<|im_end|>"),
        ),
        IM,
        eos="<|im_end|>",
    ),
    "qwen3": Family(
        QWEN3,
        (
            (QWEN3_PROMPTS[0], "<think>\n\n</think>\n\nBlue.<|im_end|>"),
            (QWEN3_PROMPTS[1], "<think>\n\n</think>\n\nIt is 3.<|im_end|>"),
            (QWEN3_PROMPTS[2], "<think>\n\n</think>\n\nYo.<|im_end|>"),
        ),
        IM,
        eos="<|im_end|>",
    ),
    "qwen3 that does not think": Family(
        QWEN3,
        (
            (QWEN3_PROMPTS[0] + "<think>\n\n</think>\n\n", "Blue.<|im_end|>"),
            (QWEN3_PROMPTS[1] + "<think>\n\n</think>\n\n", "It is 3.<|im_end|>"),
            (QWEN3_PROMPTS[2] + "<think>\n\n</think>\n\n", "Yo.<|im_end|>"),
        ),
        IM,
        eos="<|im_end|>",
        options={"enable_thinking": False},
    ),
}
