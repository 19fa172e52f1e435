"""The rest of the families of :mod:`tests.learning.chat_families`."""

from __future__ import annotations

from tests.learning import chat_families as f
from tests.learning.chat_families import IM, OPENED, Family, Refused

TURNS = ("<start_of_turn>", "<end_of_turn>")
NO_SYSTEM = Refused(r"refuses it \(System role not supported\)")
COMMAND_TOKENS = (
    "<|START_OF_TURN_TOKEN|>",
    "<|END_OF_TURN_TOKEN|>",
    "<|SYSTEM_TOKEN|>",
    "<|USER_TOKEN|>",
    "<|CHATBOT_TOKEN|>",
)
GEMMA_TWO = (
    "<bos><start_of_turn>user\nHi.<end_of_turn>\n<start_of_turn>model\nHello!<end_of_turn>\n"
    "<start_of_turn>user\nWhat is 1 and 2?<end_of_turn>\n<start_of_turn>model\n",
    "It is 3.<end_of_turn>",
)
HARMONY_USER = "<|start|>user<|message|>"

FAMILIES = f.FAMILIES | {
    "gemma-2": Family(
        f.GEMMA2, (NO_SYSTEM, GEMMA_TWO, NO_SYSTEM), ("<bos>", *TURNS), bos="<bos>", eos="<eos>"
    ),
    "gemma-3": Family(
        f.GEMMA3,
        (
            (
                "<bos><start_of_turn>user\nBe brief.\n\nName a colour.<end_of_turn>\n"
                "<start_of_turn>model\n",
                "Blue.<end_of_turn>",
            ),
            GEMMA_TWO,
            (
                "<bos><start_of_turn>user\n\n\nHi.<end_of_turn>\n<start_of_turn>model\n",
                "Yo.<end_of_turn>",
            ),
        ),
        ("<bos>", *TURNS),
        bos="<bos>",
        eos="<eos>",
    ),
    "mistral": Family(
        f.MISTRAL,
        (
            (
                "<s>[SYSTEM_PROMPT] Be brief.[/SYSTEM_PROMPT][INST] Name a colour.[/INST]",
                " Blue.</s>",
            ),
            ("<s>[INST] Hi.[/INST] Hello!</s>[INST] What is 1 and 2?[/INST]", " It is 3.</s>"),
            ("<s>[SYSTEM_PROMPT] [/SYSTEM_PROMPT][INST] Hi.[/INST]", " Yo.</s>"),
        ),
        ("<s>", "[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"),
        bos="<s>",
    ),
    "phi-3": Family(
        f.PHI3,
        (
            (
                "<|system|>\nBe brief.<|end|>\n<|user|>\nName a colour.<|end|>\n<|assistant|>\n",
                "Blue.<|end|>",
            ),
            (
                "<|user|>\nHi.<|end|>\n<|assistant|>\nHello!<|end|>\n<|user|>\nWhat is 1 and 2?"
                "<|end|>\n<|assistant|>\n",
                "It is 3.<|end|>",
            ),
            ("<|user|>\nHi.<|end|>\n<|assistant|>\n", "Yo.<|end|>"),
        ),
        ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>"),
        eos="<|endoftext|>",
        swallows=("<|system|>", "<|user|>", "<|assistant|>", "<|end|>"),
    ),
    "phi-4": Family(
        f.PHI4,
        (
            (
                "<|im_start|>system<|im_sep|>Be brief.<|im_end|><|im_start|>user<|im_sep|>"
                "Name a colour.<|im_end|><|im_start|>assistant<|im_sep|>",
                "Blue.<|im_end|>",
            ),
            (
                "<|im_start|>user<|im_sep|>Hi.<|im_end|><|im_start|>assistant<|im_sep|>Hello!"
                "<|im_end|><|im_start|>user<|im_sep|>What is 1 and 2?<|im_end|>"
                "<|im_start|>assistant<|im_sep|>",
                "It is 3.<|im_end|>",
            ),
            (
                "<|im_start|>system<|im_sep|><|im_end|><|im_start|>user<|im_sep|>Hi.<|im_end|>"
                "<|im_start|>assistant<|im_sep|>",
                "Yo.<|im_end|>",
            ),
        ),
        (*IM, "<|im_sep|>"),
        eos="<|endoftext|>",
    ),
    "deepseek-v3": Family(
        f.DEEPSEEK_V3,
        (
            (
                "<｜begin▁of▁sentence｜>Be brief.<｜User｜>Name a colour.<｜Assistant｜>",
                "Blue.<｜end▁of▁sentence｜>",
            ),
            (
                "<｜begin▁of▁sentence｜><｜User｜>Hi.<｜Assistant｜>Hello!<｜end▁of▁sentence｜>"
                "<｜User｜>What is 1 and 2?<｜Assistant｜>",
                "It is 3.<｜end▁of▁sentence｜>",
            ),
            ("<｜begin▁of▁sentence｜><｜User｜>Hi.<｜Assistant｜>", "Yo.<｜end▁of▁sentence｜>"),
        ),
        ("<｜User｜>", "<｜Assistant｜>"),
        bos="<｜begin▁of▁sentence｜>",
        eos="<｜end▁of▁sentence｜>",
    ),
    "deepseek-r1": Family(
        f.DEEPSEEK_R1,
        (OPENED, OPENED, OPENED),
        ("<｜User｜>", "<｜Assistant｜>"),
        bos="<｜begin▁of▁sentence｜>",
        eos="<｜end▁of▁sentence｜>",
    ),
    "granite-3": Family(
        f.GRANITE,
        (
            (
                "<|start_of_role|>system<|end_of_role|>Be brief.<|end_of_text|>\n<|start_of_role|>"
                "user<|end_of_role|>Name a colour.<|end_of_text|>\n"
                "<|start_of_role|>assistant<|end_of_role|>",
                "Blue.<|end_of_text|>",
            ),
            (
                "<|start_of_role|>system<|end_of_role|>Knowledge Cutoff Date: April 2024.\n"
                "Today's Date: February 03, 2026.\nYou are Granite, developed by IBM."
                "<|end_of_text|>\n<|start_of_role|>user<|end_of_role|>Hi.<|end_of_text|>\n"
                "<|start_of_role|>assistant<|end_of_role|>Hello!<|end_of_text|>\n"
                "<|start_of_role|>user<|end_of_role|>What is 1 and 2?<|end_of_text|>\n"
                "<|start_of_role|>assistant<|end_of_role|>",
                "It is 3.<|end_of_text|>",
            ),
            (
                "<|start_of_role|>system<|end_of_role|><|end_of_text|>\n<|start_of_role|>user"
                "<|end_of_role|>Hi.<|end_of_text|>\n<|start_of_role|>assistant<|end_of_role|>",
                "Yo.<|end_of_text|>",
            ),
        ),
        ("<|start_of_role|>", "<|end_of_role|>"),
        eos="<|end_of_text|>",
    ),
    "smollm3": Family(
        f.SMOLLM3,
        (
            (
                f.SMOLLM3_HEAD + "Be brief.\n\n<|im_end|>\n<|im_start|>user\nName a colour."
                "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n",
                "Blue.<|im_end|>",
            ),
            (
                f.SMOLLM3_HEAD + "<|im_end|>\n<|im_start|>user\nHi.<|im_end|>\n"
                "<|im_start|>assistant\n<think>\n\n</think>\nHello!<|im_end|>\n<|im_start|>user\n"
                "What is 1 and 2?<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n",
                "It is 3.<|im_end|>",
            ),
            (
                f.SMOLLM3_HEAD + "\n\n<|im_end|>\n<|im_start|>user\nHi.<|im_end|>\n"
                "<|im_start|>assistant\n<think>\n\n</think>\n",
                "Yo.<|im_end|>",
            ),
        ),
        IM,
        eos="<|im_end|>",
        options={"enable_thinking": False},
    ),
    "gpt-oss": Family(
        f.HARMONY,
        (
            (
                f.HARMONY_HEAD + "<|start|>developer<|message|># Instructions\n\nBe brief.\n\n"
                "<|end|>" + HARMONY_USER + "Name a colour.<|end|><|start|>assistant",
                "<|channel|>final<|message|>Blue.<|return|>",
            ),
            (
                f.HARMONY_HEAD + HARMONY_USER + "Hi.<|end|><|start|>assistant<|channel|>final"
                "<|message|>Hello!<|end|>" + HARMONY_USER + "What is 1 and 2?<|end|>"
                "<|start|>assistant",
                "<|channel|>final<|message|>It is 3.<|return|>",
            ),
            (
                f.HARMONY_HEAD + HARMONY_USER + "Hi.<|end|><|start|>assistant",
                "<|channel|>final<|message|>Yo.<|return|>",
            ),
        ),
        ("<|start|>", "<|message|>", "<|channel|>", "<|end|>"),
        eos="<|return|>",
        options={"reasoning_effort": "low"},
    ),
    "command-r": Family(
        f.COMMAND,
        (
            (
                "<BOS_TOKEN><|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>Be brief.<|END_OF_TURN_TOKEN|>"
                "<|START_OF_TURN_TOKEN|><|USER_TOKEN|>Name a colour.<|END_OF_TURN_TOKEN|>"
                "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>",
                "Blue.<|END_OF_TURN_TOKEN|>",
            ),
            (
                "<BOS_TOKEN><|START_OF_TURN_TOKEN|><|USER_TOKEN|>Hi.<|END_OF_TURN_TOKEN|>"
                "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>Hello!<|END_OF_TURN_TOKEN|>"
                "<|START_OF_TURN_TOKEN|><|USER_TOKEN|>What is 1 and 2?<|END_OF_TURN_TOKEN|>"
                "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>",
                "It is 3.<|END_OF_TURN_TOKEN|>",
            ),
            (
                "<BOS_TOKEN><|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|><|END_OF_TURN_TOKEN|>"
                "<|START_OF_TURN_TOKEN|><|USER_TOKEN|>Hi.<|END_OF_TURN_TOKEN|>"
                "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>",
                "Yo.<|END_OF_TURN_TOKEN|>",
            ),
        ),
        COMMAND_TOKENS,
        bos="<BOS_TOKEN>",
        eos="<EOS_TOKEN>",
    ),
    "glm-4": Family(
        f.GLM4,
        (
            (
                "[gMASK]<sop><|system|>\nBe brief.<|user|>\nName a colour.<|assistant|>",
                "\nBlue.",
            ),
            (
                "[gMASK]<sop><|user|>\nHi.<|assistant|>\nHello!<|user|>\nWhat is 1 and 2?"
                "<|assistant|>",
                "\nIt is 3.",
            ),
            ("[gMASK]<sop><|system|>\n<|user|>\nHi.<|assistant|>", "\nYo."),
        ),
        ("[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>"),
        eos="<|endoftext|>",
        appended=True,
    ),
    "zephyr": Family(
        f.ZEPHYR,
        (
            (
                "<|system|>\nBe brief.</s>\n<|user|>\nName a colour.</s>\n<|assistant|>\n",
                "Blue.</s>",
            ),
            (
                "<|user|>\nHi.</s>\n<|assistant|>\nHello!</s>\n<|user|>\nWhat is 1 and 2?</s>\n"
                "<|assistant|>\n",
                "It is 3.</s>",
            ),
            ("<|system|>\n</s>\n<|user|>\nHi.</s>\n<|assistant|>\n", "Yo.</s>"),
        ),
    ),
    "chatml without the flag": Family(
        f.NO_FLAG,
        tuple(  # type: ignore[arg-type]  # three
            (
                prompt.removesuffix("<|im_start|>assistant\n"),
                f"<|im_start|>assistant\n{answer}<|im_end|>",
            )
            for prompt, answer in zip(f.QWEN3_PROMPTS, ("Blue.", "It is 3.", "Yo."), strict=True)
        ),
        IM,
    ),
    "a marker that is no special token": Family(
        f.MARKED,
        (
            (
                "system: Be brief.</turn>\nuser: Name a colour.</turn>\nassistant: ",
                "Blue.</turn>",
            ),
            (
                "user: Hi.</turn>\nassistant: Hello!</turn>\nuser: What is 1 and 2?</turn>\n"
                "assistant: ",
                "It is 3.</turn>",
            ),
            ("system: </turn>\nuser: Hi.</turn>\nassistant: ", "Yo.</turn>"),
        ),
    ),
    "lines": Family(
        f.LINES,
        (
            ("Note: Be brief.\nYou: Name a colour.\nBot:", " Blue."),
            ("You: Hi.\nBot: Hello!\nYou: What is 1 and 2?\nBot:", " It is 3."),
            ("Note: \nYou: Hi.\nBot:", " Yo."),
        ),
        appended=True,
    ),
    "vicuna": Family(
        f.VICUNA,
        (
            ("<s>Be brief. USER: Name a colour. ASSISTANT:", " Blue.</s>"),
            (
                "<s>USER: Hi. ASSISTANT: Hello!</s>USER: What is 1 and 2? ASSISTANT:",
                " It is 3.</s>",
            ),
            ("<s> USER: Hi. ASSISTANT:", " Yo.</s>"),
        ),
        ("<s>",),
        bos="<s>",
    ),
    "another opening": Family(f.OPENS_ELSE, (OPENED, OPENED, OPENED), IM),
}
