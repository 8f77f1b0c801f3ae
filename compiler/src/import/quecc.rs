//! QueCC: a projector that compresses a picture for a question.
//!
//! Source: github.com/locuslab/llava-token-compression, `multimodal_projector/quecc.py` and
//! `multimodal_encoder/clip_encoder.py`: each window of patches becomes one token. Its query is a convolution over the
//! window of what an MLP makes of features and question; keys and values come from hidden states of several layers; a query
//! sees its own window only.

use serde_json::{Map, Value};

use super::blocks::{AttentionShape, Blocks};
use super::fields::{Fields, FIX_CONFIG};
use crate::diag::Diagnostics;
use crate::graph::{ActKind, Change, InputKind, Op, Rows, TextSpec, ValueId, ValueType, VisionSpec};

/// Hidden states of the tower that keys and values are made of; constants of the released class.
const STATES: [usize; 4] = [12, 16, 22, 23];
/// Heads of the attention; another one.
const HEADS: usize = 8;
/// Epsilon of its layer norms; another one.
const EPS: f32 = 1e-6;

/// What the configuration says.
pub(super) struct Quecc {
    /// Hidden state that the question is added to.
    state: usize,
    /// Patches of a side of a window.
    side: usize,
    /// Width of the language model.
    text_hidden: usize,
}

/// Reads the keys of the top level; sets what follows for the tower.
pub(super) fn read(
    top: &Map<String, Value>,
    spec: &mut VisionSpec,
    text: &TextSpec,
    faults: &mut Diagnostics,
) -> Quecc {
    let mut fields = Fields::new("", top, faults);
    let plain = "convert checkpoints without token compression to LlavaForConditionalGeneration";
    for (key, wanted, help) in [
        ("mm_vision_token_compression_type", "quecc", plain),
        ("mm_projector_type", "mlp2x_gelu", FIX_CONFIG),
        ("mm_vision_select_feature", "patch", FIX_CONFIG),
    ] {
        match fields.text(key).unwrap_or(if key == "mm_vision_select_feature" { wanted } else { "none" }) {
            found if found == wanted => {}
            found => fields.fault(key, wanted, found, help),
        }
    }
    let layers = spec.layers_total;
    if layers < STATES[STATES.len() - 1] {
        let expected = format!("at least {} layers: QueCC reads hidden states {STATES:?}", STATES[3]);
        fields.fault("vision_config.num_hidden_layers", expected, layers.to_string(), FIX_CONFIG);
    }
    let key = "mm_vision_select_layer";
    let given = fields.get(key).map_or(Some(-2), Value::as_i64);
    let index = given.map(|value| if value < 0 { layers as i64 + 1 + value } else { value });
    let state = index.filter(|index| (0..=layers as i64).contains(index)).map(|index| index as usize);
    if state.is_none() {
        let got = fields.get(key).map_or(String::new(), Value::to_string);
        fields.fault(key, format!("an index into {} hidden states", layers + 1), got, FIX_CONFIG);
    }
    let side = fields.size("mm_vision_token_compression_kernel_size", 4, 64);
    let stride = fields.size("mm_vision_token_compression_stride", 4, 64);
    let grid = spec.image_size / spec.patch;
    if stride != side || !grid.is_multiple_of(side) {
        let expected =
            format!("a window that divides the grid of {grid} x {grid} patches, and a stride of its size");
        let got = format!("kernel {side}, stride {stride}");
        fields.fault("mm_vision_token_compression_kernel_size", expected, got, FIX_CONFIG);
    }
    for (key, expected, default) in [
        ("mm_vision_output_token_count", grid * grid, 576),
        ("mm_vision_output_text_embedding_size", text.hidden, 4096),
        ("mm_hidden_size", spec.hidden, spec.hidden),
    ] {
        let found = fields.size(key, default, 1 << 20);
        if found != expected {
            fields.fault(key, expected.to_string(), found.to_string(), FIX_CONFIG);
        }
    }
    if !spec.hidden.is_multiple_of(HEADS) || !spec.has_class {
        let expected = format!("a tower with a class row and a width that is a multiple of {HEADS}");
        fields.fault("vision_config.hidden_size", expected, spec.hidden.to_string(), FIX_CONFIG);
    }
    let state = state.unwrap_or(0);
    spec.layers_used = state.max(STATES[3]).min(layers);
    (spec.skip_rows, spec.merge, spec.question) = (1, side, true);
    Quecc { state, side, text_hidden: text.hidden }
}

/// `[patches + 1, hidden]` behind each number of layers to `[image, hidden]`.
pub(super) fn compress(
    blocks: &mut Blocks<'_>,
    root: &str,
    quecc: &Quecc,
    spec: &VisionSpec,
    states: &[ValueId],
) -> ValueId {
    let (hidden, patches) = (spec.hidden, Rows::Patches { with_class: false });
    let mut of_patches = |state: usize| {
        let op = Op::SelectRows { skip: 1, join: 1, pooled: false };
        let path = format!("hidden_states.{state}");
        blocks.graph.push(path, op, &[states[state]], ValueType::new(patches, hidden))
    };
    let parts = STATES.map(&mut of_patches);
    let same = STATES.iter().position(|state| *state == quecc.state);
    let x = same.map_or_else(|| of_patches(quecc.state), |at| parts[at]);
    let ty = ValueType::new(patches, STATES.len() * hidden);
    let multi = blocks.graph.push("hidden_states", Op::Concat { parts: STATES.len() }, &parts, ty);
    let ty = ValueType::new(Rows::Const(1), quecc.text_hidden);
    let question = blocks.graph.push("question", Op::Input(InputKind::Question), &[], ty);
    let question = blocks.linear(&format!("{root}text_projection.0"), question, hidden, true);
    let question = blocks.layer_norm(&format!("{root}text_projection.1"), question, EPS);
    let x = blocks.same(&format!("{root}text_projection"), Op::AddRow, &[x, question]);
    let mut mlp = |name: &str, x: ValueId| {
        let x = blocks.linear(&format!("{root}{name}.0"), x, hidden, true);
        let x = blocks.act(&format!("{root}{name}.1"), ActKind::Gelu, x);
        let x = blocks.linear(&format!("{root}{name}.2"), x, hidden, true);
        blocks.layer_norm(&format!("{root}{name}.3"), x, EPS)
    };
    let (q, k, v) = (mlp("q_proj", x), mlp("k_proj", multi), mlp("v_proj", multi));
    let path = format!("{root}q_downsample");
    let w = blocks.weight(format!("{path}.weight"), &[hidden, quecc.side * quecc.side]);
    let b = blocks.weight(format!("{path}.bias"), &[hidden]);
    let op = Op::PoolWindows { w, b, side: quecc.side };
    let q = blocks.graph.push(path, op, &[q], ValueType::new(Rows::Image, hidden));
    let attn = format!("{root}clip_attn");
    // PyTorch's `MultiheadAttention` keeps all three in one tensor.
    let mut part = |at: usize, name: &str, x: ValueId| {
        let rows = || vec![Change::Rows { first: at * hidden, of: 3 * hidden }];
        let w = blocks.graph.add_changed(format!("{attn}.in_proj_weight"), &[hidden, hidden], rows());
        let b = Some(blocks.graph.add_changed(format!("{attn}.in_proj_bias"), &[hidden], rows()));
        let ty = ValueType::new(blocks.graph.ty(x).rows, hidden);
        blocks.graph.push(format!("{attn}.{name}"), Op::Linear { w, b }, &[x], ty)
    };
    let qkv = [part(0, "q", q), part(1, "k", k), part(2, "v", v)];
    let shape = AttentionShape {
        heads: HEADS,
        kv_heads: HEADS,
        head_dim: hidden / HEADS,
        causal: false,
        prefix: false,
        mask: None,
        windows: Some(quecc.side),
    };
    let h = blocks.attention(&attn, &shape, qkv);
    blocks.linear(&format!("{attn}.out_proj"), h, hidden, true)
}
