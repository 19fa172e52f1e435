"""Tiny models of real families, from their configurations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

SHAPE: dict[str, Any] = {
    "vocab_size": 400,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
WINDOW = 8
"""Shorter than the examples, so that what lies outside of it must not be seen."""
VISION: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}

LATENT: dict[str, Any] = {
    "num_key_value_heads": 4,
    "q_lora_rank": 8,
    "kv_lora_rank": 8,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 8,
    "v_head_dim": 8,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "n_shared_experts": 1,
    "moe_intermediate_size": 16,
    "first_k_dense_replace": 1,
}


@dataclass(frozen=True)
class Family:
    """A family and what is changed of `SHAPE` for it.

    Attributes
    ----------
    config : str
        Class of the configuration in transformers.
    changes : dict
        Settings; None takes one out.
    targets : tuple of str or str
        Layers that carry an adapter.
    """

    config: str
    changes: dict[str, Any] = field(default_factory=dict)
    targets: Any = "all-linear"

    def make(self, **more: Any) -> Any:
        """Return the configuration."""
        import transformers

        settings = {**SHAPE, **self.changes, **more}
        settings = {name: value for name, value in settings.items() if value is not None}
        return getattr(transformers, self.config)(**settings)


def text(**changes: Any) -> dict[str, Any]:
    """Return the changes of a model of several media with this text decoder."""
    return {**dict.fromkeys(SHAPE), "text_config": {**SHAPE, **changes}}


FAMILIES: dict[str, Family] = {
    "llama": Family("LlamaConfig"),
    "qwen2": Family("Qwen2Config"),
    "qwen3": Family("Qwen3Config", {"head_dim": 8}),
    "gemma": Family("GemmaConfig", {"head_dim": 8}),
    "gemma2": Family("Gemma2Config", {"head_dim": 8, "sliding_window": WINDOW}),
    "gemma3": Family("Gemma3TextConfig", {"head_dim": 8, "sliding_window": WINDOW}),
    "mistral": Family("MistralConfig", {"sliding_window": WINDOW}),
    "phi": Family("PhiConfig"),
    "phi3": Family("Phi3Config", {"sliding_window": WINDOW}),
    "gpt2": Family("GPT2Config"),
    "gpt-neo": Family(
        "GPTNeoConfig",
        {
            "num_layers": 2,
            "attention_types": [[["global", "local"], 1]],
            "window_size": WINDOW,
            "num_hidden_layers": None,
            "num_attention_heads": None,
            "num_heads": 4,
        },
    ),
    "gptj": Family("GPTJConfig", {"rotary_dim": 4}),
    "gpt-neox": Family("GPTNeoXConfig"),
    "gpt-oss": Family(
        "GptOssConfig",
        {"head_dim": 8, "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": WINDOW},
    ),
    "gpt-bigcode": Family("GPTBigCodeConfig"),
    "opt": Family("OPTConfig", {"ffn_dim": 48, "word_embed_proj_dim": 16}),
    "bloom": Family("BloomConfig"),
    "mpt": Family("MptConfig", {"d_model": 32, "n_heads": 4, "n_layers": 2, "max_seq_len": 256}),
    "falcon": Family("FalconConfig", {"new_decoder_architecture": True}),
    "stablelm": Family("StableLmConfig"),
    "starcoder2": Family("Starcoder2Config", {"sliding_window": WINDOW}),
    "cohere": Family("CohereConfig"),
    "cohere2": Family("Cohere2Config", {"head_dim": 8, "sliding_window": WINDOW}),
    "granite": Family(
        "GraniteConfig",
        {
            "logits_scaling": 4.0,
            "residual_multiplier": 0.5,
            "attention_multiplier": 0.3,
            "embedding_multiplier": 3.0,
        },
    ),
    "granite-moe": Family("GraniteMoeConfig", {"num_local_experts": 4, "num_experts_per_tok": 2}),
    "granite-hybrid": Family(
        "GraniteMoeHybridConfig",
        {
            "num_local_experts": 4,
            "num_experts_per_tok": 2,
            "layer_types": ["mamba", "attention"],
            "mamba_n_heads": 4,
            "mamba_d_head": 16,
            "mamba_d_state": 8,
            "shared_intermediate_size": 32,
        },
    ),
    "glm": Family("GlmConfig", {"head_dim": 8}),
    "glm4": Family("Glm4Config", {"head_dim": 8}),
    "glm4-moe": Family(
        "Glm4MoeConfig",
        {
            "head_dim": 8,
            "n_routed_experts": 4,
            "num_experts_per_tok": 2,
            "n_shared_experts": 1,
            "moe_intermediate_size": 16,
            "first_k_dense_replace": 1,
        },
    ),
    "olmo": Family("OlmoConfig"),
    "olmo2": Family("Olmo2Config"),
    "olmo3": Family("Olmo3Config", {"sliding_window": WINDOW}),
    "olmoe": Family("OlmoeConfig", {"num_experts": 4, "num_experts_per_tok": 2}),
    "mixtral": Family("MixtralConfig", {"num_local_experts": 4, "num_experts_per_tok": 2}),
    "qwen2-moe": Family(
        "Qwen2MoeConfig",
        {
            "num_experts": 4,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 16,
            "shared_expert_intermediate_size": 16,
        },
    ),
    "qwen3-moe": Family(
        "Qwen3MoeConfig",
        {"head_dim": 8, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16},
    ),
    "qwen3-next": Family(
        "Qwen3NextConfig",
        {
            "head_dim": 8,
            "num_experts": 4,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 16,
            "shared_expert_intermediate_size": 16,
            "layer_types": ["linear_attention", "full_attention"],
            "linear_num_value_heads": 4,
            "linear_num_key_heads": 2,
            "linear_key_head_dim": 8,
            "linear_value_head_dim": 8,
        },
    ),
    "deepseek-v2": Family("DeepseekV2Config", {**LATENT, "n_group": 1, "topk_group": 1}),
    "deepseek-v3": Family("DeepseekV3Config", {**LATENT, "n_group": 2, "topk_group": 1}),
    "smollm3": Family("SmolLM3Config"),
    "ernie": Family("Ernie4_5Config", {"head_dim": 8}),
    "exaone4": Family("Exaone4Config", {"sliding_window": WINDOW, "sliding_window_pattern": 2}),
    "nemotron": Family("NemotronConfig"),
    "phimoe": Family("PhimoeConfig", {"num_local_experts": 4, "num_experts_per_tok": 2}),
    "seed-oss": Family("SeedOssConfig", {"head_dim": 8}),
    "hunyuan": Family("HunYuanDenseV1Config", {"head_dim": 8}),
    "minimax": Family(
        "MiniMaxConfig",
        {
            "head_dim": 8,
            "num_local_experts": 4,
            "num_experts_per_tok": 2,
            "layer_types": ["linear_attention", "full_attention"],
            "block_size": 4,
        },
    ),
    "apertus": Family("ApertusConfig"),
    "arcee": Family("ArceeConfig"),
    "llama4": Family(
        "Llama4TextConfig",
        {
            "head_dim": 8,
            "intermediate_size_mlp": 48,
            "num_local_experts": 2,
            "num_experts_per_tok": 1,
            "attention_chunk_size": WINDOW,
        },
    ),
    "mamba": Family("MambaConfig", {"state_size": 8}, ("in_proj", "x_proj")),
    "mamba2": Family(
        "Mamba2Config",
        {"state_size": 8, "num_heads": 4, "head_dim": 16, "n_groups": 1},
        ("in_proj",),
    ),
    "falcon-mamba": Family("FalconMambaConfig", {"state_size": 8}, ("in_proj", "x_proj")),
    "falcon-h1": Family(
        "FalconH1Config",
        {"mamba_d_ssm": 32, "mamba_n_heads": 4, "mamba_d_head": 8, "mamba_d_state": 8},
        ("q_proj", "v_proj", "in_proj", "down_proj"),
    ),
    "bamba": Family(
        "BambaConfig",
        {"mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 8, "attn_layer_indices": [1]},
    ),
    "jamba": Family(
        "JambaConfig",
        {
            "num_experts": 4,
            "num_experts_per_tok": 2,
            "attn_layer_period": 2,
            "attn_layer_offset": 1,
            "expert_layer_period": 2,
            "expert_layer_offset": 1,
            "use_mamba_kernels": False,
        },
    ),
    "zamba2": Family(
        "Zamba2Config",
        {
            "num_hidden_layers": 4,
            "layers_block_type": ["mamba", "hybrid", "mamba", "hybrid"],
            "mamba_d_state": 8,
            "n_mamba_heads": 4,
            "mamba_headdim": 16,
            "num_mem_blocks": 1,
            "num_key_value_heads": 4,
            "use_mem_rope": True,
        },
    ),
    "recurrent-gemma": Family(
        "RecurrentGemmaConfig",
        {"num_hidden_layers": 3, "attention_window_size": WINDOW, "lru_width": 32, "head_dim": 8},
    ),
    "lfm2": Family("Lfm2Config", {"layer_types": ["conv", "full_attention"]}),
    "lfm2-moe": Family(
        "Lfm2MoeConfig",
        {
            "layer_types": ["conv", "full_attention"],
            "num_experts": 4,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 16,
            "num_dense_layers": 1,
        },
    ),
    "gemma3n": Family(
        "Gemma3nTextConfig",
        {
            "head_dim": 8,
            "sliding_window": WINDOW,
            "num_hidden_layers": 4,
            "layer_types": ["sliding_attention", "full_attention"] * 2,
            "num_kv_shared_layers": 2,
            "hidden_size_per_layer_input": 8,
            "vocab_size_per_layer_input": 400,
            "laurel_rank": 4,
            "activation_sparsity_pattern": [0.5, 0.0, 0.0, 0.0],
        },
    ),
    "gemma3-mm": Family(
        "Gemma3Config",
        {
            **text(head_dim=8, sliding_window=WINDOW),
            "vision_config": VISION,
            "mm_tokens_per_image": 4,
            "image_token_index": 399,
            "boi_token_index": 397,
            "eoi_token_index": 398,
        },
    ),
    "llama4-mm": Family(
        "Llama4Config",
        {
            **text(
                head_dim=8,
                intermediate_size_mlp=48,
                num_local_experts=2,
                num_experts_per_tok=1,
                attention_chunk_size=WINDOW,
            ),
            "vision_config": {
                **VISION,
                "intermediate_size": 64,
                "vision_output_dim": 32,
                "projector_input_dim": 32,
                "projector_output_dim": 32,
            },
        },
    ),
    "mllama": Family(
        "MllamaConfig",
        {
            **text(cross_attention_layers=[1]),
            "vision_config": {
                **VISION,
                "num_global_layers": 1,
                "attention_heads": 2,
                "intermediate_layers_indices": [0],
                "vision_output_dim": 32,
            },
        },
    ),
    "qwen2-vl": Family(
        "Qwen2VLConfig",
        {
            **text(
                rope_parameters={
                    "rope_type": "default",
                    "mrope_section": [1, 1, 2],
                    "rope_theta": 10000.0,
                }
            ),
            "vision_config": {
                "depth": 1,
                "embed_dim": 16,
                "hidden_size": 32,
                "num_heads": 2,
                "mlp_ratio": 2,
            },
        },
    ),
    "qwen3.5": Family(
        "Qwen3_5Config",
        {
            **text(
                head_dim=8,
                layer_types=["linear_attention", "full_attention"],
                linear_num_value_heads=4,
                linear_num_key_heads=2,
                linear_key_head_dim=8,
                linear_value_head_dim=8,
            ),
            "vision_config": {
                "depth": 1,
                "hidden_size": 16,
                "out_hidden_size": 32,
                "num_heads": 2,
                "intermediate_size": 16,
            },
        },
    ),
    "llava": Family(
        "LlavaConfig",
        {
            **text(model_type="llama"),
            "vision_config": {**VISION, "model_type": "clip_vision_model"},
            "image_token_id": 399,
        },
    ),
    "fuyu": Family(
        "FuyuConfig",
        {**SHAPE, "patch_size": 4, "text_config": {**SHAPE, "model_type": "persimmon"}},
    ),
}

PACKED = {
    *("llama", "qwen2", "qwen3", "gemma", "gpt-neox", "gpt-bigcode", "opt", "stablelm"),
    *("granite-moe", "glm", "glm4", "olmo", "olmo2", "qwen2-moe", "smollm3", "ernie", "nemotron"),
    *("phimoe", "seed-oss", "hunyuan", "apertus", "arcee", "mllama", "qwen2-vl", "llava", "fuyu"),
}
"""Families whose batches are computed packed, which is faster."""
