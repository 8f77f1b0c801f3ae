//! Architectures that are not read, with what comes nearest to them: the same network in another format, or a
//! supported relative. Names that are not here are compared letter by letter.

/// What to say of an architecture.
pub(super) struct Relative {
    /// The architecture's name, or how it begins.
    name: &'static str,
    pub nearest: &'static str,
    /// What differs, or what to do.
    pub help: &'static str,
}

const CONVERTED: &str = "this is the authors' own format; take the checkpoint in Hugging Face's (its repository usually ends in -hf)";
const CROSS: &str = "its language model reads pictures by cross attention, which is not supported";
const RESAMPLER: &str = "its resampler between tower and language model is not supported";

const RELATIVES: &[Relative] = &[
    relative(
        "LlavaLlamaForCausalLM",
        "LlavaForConditionalGeneration",
        "the authors' own format is read with token compression alone (mm_vision_token_compression_type: quecc); take the \
         checkpoint in Hugging Face's (its repository usually ends in -hf)",
    ),
    relative("LlavaMistralForCausalLM", "LlavaNextForConditionalGeneration", CONVERTED),
    relative(
        "LlavaQwen2ForCausalLM",
        "FastVlmForConditionalGeneration",
        "this is the authors' own format of FastVLM and of other LLaVAs; take the checkpoint in Hugging Face's",
    ),
    relative("LlavaQwenForCausalLM", "LlavaOnevisionForConditionalGeneration", CONVERTED),
    relative("InternVLChatModel", "InternVLForConditionalGeneration", CONVERTED),
    relative("VipLlava", "LlavaForConditionalGeneration", "features of several layers of the tower are not supported"),
    relative("LlavaNextVideo", "LlavaNextForConditionalGeneration", "its pooled frames are not supported"),
    relative("MiniCPMV", "LlavaOnevisionForConditionalGeneration", RESAMPLER),
    relative("Blip2", "LlavaForConditionalGeneration", RESAMPLER),
    relative("InstructBlip", "LlavaForConditionalGeneration", RESAMPLER),
    relative("Idefics2", "Idefics3ForConditionalGeneration", RESAMPLER),
    relative("Idefics", "Idefics3ForConditionalGeneration", CROSS),
    relative("Mllama", "LlavaNextForConditionalGeneration", CROSS),
    relative("Molmo", "LlavaForConditionalGeneration", "its attention pooling of patches is not supported"),
    relative("Phi3V", "LlavaNextForConditionalGeneration", "its arrangement of tiles is not supported"),
    relative("Phi4Multimodal", "LlavaNextForConditionalGeneration", "its arrangement of tiles is not supported"),
    relative("Gemma3ForConditionalGeneration", "PaliGemmaForConditionalGeneration", "its pooled tower is not supported"),
    relative("Gemma", "GemmaForCausalLM", "its norms behind attention and feed-forward blocks are not supported"),
    relative("Qwen3VL", "Qwen2_5_VLForConditionalGeneration", "features that enter deeper layers are not supported"),
    relative("Qwen3", "Qwen2ForCausalLM", "its norms of queries and keys are not supported"),
    relative("Qwen2Audio", "Qwen2ForCausalLM", "sound is not supported"),
    relative("Siglip2", "SiglipModel", "its positions for any resolution are not supported"),
    relative("Mixtral", "MistralForCausalLM", "mixtures of experts are not supported"),
    relative("Phi3Small", "Phi3ForCausalLM", "its block-sparse attention is not supported"),
];

const fn relative(name: &'static str, nearest: &'static str, help: &'static str) -> Relative {
    Relative { name, nearest, help }
}

/// The first whose name the architecture's begins with.
pub(super) fn relative_of(architecture: &str) -> Option<&'static Relative> {
    RELATIVES.iter().find(|relative| architecture.starts_with(relative.name))
}

#[cfg(test)]
mod tests {
    use super::super::families::architectures;
    use super::*;

    #[test]
    fn relatives_are_supported_and_their_cousins_are_not() {
        for r in RELATIVES {
            assert!(architectures().any(|row| row.0 == r.nearest), "{}", r.nearest);
            assert_eq!(
                relative_of(r.name).map(|found| found.nearest),
                Some(r.nearest),
                "{} is hidden",
                r.name
            );
        }
        assert!(relative_of("SomethingForCausalLM").is_none());
    }
}
