//! Hugging Face names of tensors, and the order of their rows.
//!
//! llama.cpp turns pairs of neighbouring columns in its rotary embedding, Hugging Face's Llama pairs
//! column `i` with `i + head_dim / 2`. Its converter therefore stores the rows of query and key
//! projections of `llama` models interleaved: row `2 i + p` of a head is Hugging Face's `p · half + i`.

use serde_json::{Map, Value};

use super::config::Keys;
use super::reader::TensorInfo;
use crate::diag::{Diagnostic, Diagnostics};

/// The output layer; absent when it is the embedding table.
pub(super) const HEAD: &str = "output.weight";

/// In front of `.weight` or `.bias`: GGUF, Hugging Face.
const OUTER: [(&str, &str); 3] =
    [("token_embd", "model.embed_tokens"), ("output_norm", "model.norm"), ("output", "lm_head")];

/// The same inside layer `blk.N.`, `model.layers.N.`.
const INNER: [(&str, &str); 9] = [
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];

/// The Hugging Face name of a tensor.
pub(super) fn hugging_face(name: &str) -> Option<String> {
    let (module, kind) = name.rsplit_once('.').filter(|(_, kind)| matches!(*kind, "weight" | "bias"))?;
    if let Some((_, outer)) = OUTER.iter().find(|row| row.0 == module) {
        return Some(format!("{outer}.{kind}"));
    }
    let (layer, inner) = module.strip_prefix("blk.")?.split_once('.')?;
    let layer: u32 = layer.parse().ok()?;
    let (_, inner) = INNER.iter().find(|row| row.0 == inner)?;
    Some(format!("model.layers.{layer}.{inner}.{kind}"))
}

/// Heads whose rows are interleaved.
pub(super) struct RowOrder {
    heads: usize,
    kv_heads: usize,
    interleaved: bool,
}

/// Where the rows of one tensor are stored.
pub(super) struct Rows {
    /// Columns of half a head; `None`: in order.
    half: Option<usize>,
}

impl RowOrder {
    pub fn read(keys: &Map<String, Value>) -> Result<Self, Diagnostics> {
        let mut faults = Diagnostics::new();
        let mut keys = Keys::new(keys, &mut faults);
        let heads = keys.size("attention.head_count");
        let kv_heads = keys.optional_size("attention.head_count_kv").unwrap_or(heads);
        let interleaved = keys.architecture() == "llama";
        faults.into_result(RowOrder { heads, kv_heads, interleaved })
    }

    pub fn of(&self, tensor: &TensorInfo) -> Result<Rows, Diagnostic> {
        let heads = match tensor.name.split('.').nth(2) {
            Some("attn_q") if self.interleaved => self.heads,
            Some("attn_k") if self.interleaved => self.kv_heads,
            _ => return Ok(Rows { half: None }),
        };
        // Rows of a weight, elements of a bias.
        let rows = tensor.shape[0];
        if tensor.shape.len() == 1 || !rows.is_multiple_of(2 * heads) {
            return Err(Diagnostic::new(
                &tensor.name,
                format!("a matrix with an even number of rows for each of {heads} heads"),
                format!("shape {:?}", tensor.shape),
                "check that the file is of a Llama model, or download it again",
            ));
        }
        Ok(Rows { half: Some(rows / heads / 2) })
    }
}

impl Rows {
    /// The stored row that is Hugging Face's `row`.
    pub fn stored_row(&self, row: usize) -> usize {
        let Some(half) = self.half else { return row };
        let (head, inside) = (row / (2 * half), row % (2 * half));
        head * 2 * half + 2 * (inside % half) + inside / half
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_translated() {
        assert_eq!(hugging_face("blk.12.attn_k.weight").unwrap(), "model.layers.12.self_attn.k_proj.weight");
        assert_eq!(hugging_face("output.weight").unwrap(), "lm_head.weight");
        for odd in ["rope_freqs.weight", "blk.x.attn_k.weight", "blk.1.attn_k", "blk.1.ffn_gate_exps.weight"]
        {
            assert_eq!(hugging_face(odd), None, "{odd}");
        }
    }

    #[test]
    fn rows_of_a_head_are_gathered_from_pairs() {
        let rows = Rows { half: Some(3) };
        let order: Vec<usize> = (0..12).map(|row| rows.stored_row(row)).collect();
        assert_eq!(order, [0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11]);
        assert_eq!(Rows { half: None }.stored_row(7), 7);
    }
}
