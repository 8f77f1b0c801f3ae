//! The operators, at module granularity. Lowering decides how the hardware computes them.

use super::id::WeightId;
use super::mask::BlockMask;
use super::rope::Rotary;

/// What an input node delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InputKind {
    /// `[patches, 3*p*p]`: one image, patch-major, each row in the flatten order of a Hugging Face
    /// convolution weight (channel, y, x).
    Pixels,
    /// The same of a frame of a video.
    FramePixels,
    /// `[prompt, 1]`: token ids.
    TokenIds,
    /// `[1, text hidden]`: hidden state of the last token of the question that a picture is encoded for, behind all layers
    /// and the final norm of the language model.
    Question,
}

/// Element-wise activation functions, by their Hugging Face definitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ActKind {
    /// `x * Phi(x)` with erf (`gelu`).
    Gelu,
    /// The tanh approximation (`gelu_pytorch_tanh`, `gelu_new`).
    GeluTanh,
    /// `x * sigmoid(1.702 x)` (`quick_gelu`).
    QuickGelu,
    /// `x * sigmoid(x)` (`silu`).
    Silu,
    /// `max(x, 0)`.
    Relu,
    /// `max(x, 0)^2` (`relu2`).
    Relu2,
}

impl ActKind {
    /// Spelling in the printed graph.
    pub fn name(self) -> &'static str {
        match self {
            ActKind::Gelu => "gelu",
            ActKind::GeluTanh => "gelu_tanh",
            ActKind::QuickGelu => "quick_gelu",
            ActKind::Silu => "silu",
            ActKind::Relu => "relu",
            ActKind::Relu2 => "relu2",
        }
    }

    /// The kind for a Hugging Face `hidden_act` name.
    pub fn from_hf(name: &str) -> Option<Self> {
        Some(match name {
            "gelu" => ActKind::Gelu,
            "gelu_pytorch_tanh" | "gelu_new" => ActKind::GeluTanh,
            "quick_gelu" => ActKind::QuickGelu,
            "silu" | "swish" => ActKind::Silu,
            "relu" => ActKind::Relu,
            "relu2" => ActKind::Relu2,
            _ => return None,
        })
    }

    /// The `hidden_act` names that [`ActKind::from_hf`] knows, for messages.
    pub const HF_NAMES: &'static str =
        "gelu, gelu_pytorch_tanh, gelu_new, quick_gelu, silu, swish, relu, relu2";
}

/// An operator. Inputs are listed in the order in which [`super::Node::inputs`] holds them.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// No inputs.
    Input(InputKind),
    /// `x W^T + b`: `[r, in] -> [r, out]`, weight `[out, in]`, bias `[out]`.
    Linear {
        /// `[out, in]`.
        w: WeightId,
        /// `[out]`.
        b: Option<WeightId>,
    },
    /// A row of weights `[1, cols]` in place of a picture's rows: the question of attention pooling.
    LearnedRow {
        /// `[cols]`.
        w: WeightId,
    },
    /// Puts the weight row `[cols]` in front: `[patches, c] -> [patches+1, c]` (class token).
    PrependRow {
        /// `[cols]`.
        w: WeightId,
    },
    /// Adds to each row a row of the table `[positions, cols]`; the tile says which.
    AddPosition {
        /// `[positions, cols]`.
        w: WeightId,
    },
    /// Layer normalisation (biased variance) over each row, or over each of its `heads` parts, then
    /// `* w + b`.
    LayerNorm {
        /// `[cols / heads]`.
        w: WeightId,
        /// `[cols / heads]`.
        b: WeightId,
        /// Parts of a row; usually 1.
        heads: usize,
        /// Added to the variance.
        eps: f32,
    },
    /// `x / sqrt(mean(x^2) + eps) * w` over each row.
    RmsNorm {
        /// `[cols]`.
        w: WeightId,
        /// Added to the mean square.
        eps: f32,
    },
    /// Rotary position embedding of each head; the host's table says by what angles.
    Rope {
        /// Heads in the input (`cols = heads * head_dim`).
        heads: usize,
        /// Columns of one head.
        head_dim: usize,
        /// Frequencies and axes.
        rotary: Rotary,
    },
    /// Softmax attention of q `[r, heads*head_dim]` over k, v `[r, kv_heads*head_dim]`; query head `h`
    /// reads key/value head `h * kv_heads / heads`. Where it is not causal, k and v may have other rows than q.
    /// A causal node owns a KV cache over calls and lets row
    /// at position `p` see positions `0..=p`.
    Attention {
        /// Query heads.
        heads: usize,
        /// Key/value heads; divides `heads`.
        kv_heads: usize,
        /// Columns of one head.
        head_dim: usize,
        /// True in language models.
        causal: bool,
        /// The rows of the first call see each other all the same (prefix-LM).
        prefix: bool,
        /// What a causal row sees of the rows before it; `None`: all.
        mask: Option<BlockMask>,
        /// Rows see those of their own window of the picture only, of so many patches a side; the tile says
        /// which. `None`: all. With as many rows as windows, each sees the window that it stands for.
        windows: Option<usize>,
        /// Factor on q·k before the softmax.
        scale: f32,
    },
    /// Convolution of each channel of a square map (rows are its pixels, line by line) with kernels of its own, zeros
    /// around the map: `[side^2, c] -> [side'^2, m c]`, output `o` from input `o / m`; weight `[m c, kernel^2]`.
    Depthwise {
        /// `[m c, kernel^2]`.
        w: WeightId,
        /// `[m c]`.
        b: WeightId,
        /// Pixels of a side of the kernel; odd.
        kernel: usize,
        /// Pixels from one output to the next.
        stride: usize,
        /// Pixels of a side of the input.
        side: usize,
    },
    /// Squeeze and excitation: each column times the sigmoid of what two linear layers, ReLU between, make of the
    /// means of all columns.
    Excite {
        /// `[r, c]` and `[r]`.
        first: [WeightId; 2],
        /// `[c, r]` and `[c]`.
        second: [WeightId; 2],
    },
    /// Columns of several values of equal rows behind each other.
    Concat {
        /// How many.
        parts: usize,
    },
    /// Adds a row `[1, c]` to each row of `[r, c]`.
    AddRow,
    /// A token of each window of patches, whose rows follow each other, line by line: `[patches, c] -> [image, c]`, each
    /// column the sum of the window's values times weights of its own, plus a bias. A convolution of each channel with
    /// stride and kernel of one size.
    PoolWindows {
        /// `[c, side^2]`.
        w: WeightId,
        /// `[c]`.
        b: WeightId,
        /// Patches of a side of a window.
        side: usize,
    },
    /// Element-wise sum of two equal shapes.
    Add,
    /// Element-wise product of two equal shapes.
    Mul,
    /// Element-wise activation.
    Act(ActKind),
    /// Table look-up: ids `[prompt, 1] -> [prompt, cols]`, weight `[vocab, cols]`.
    Embedding {
        /// `[vocab, cols]`.
        w: WeightId,
    },
    /// Text rows `[prompt, c]`, image rows `[image, c]` and, from models with a tower for videos, `[frame, c]`:
    /// the k-th placeholder row of the prompt is replaced by the k-th visual row, pictures and videos one
    /// after the other.
    MergeImageRows {
        /// Token id that marks a visual row's place.
        placeholder: u32,
        /// The same for visual rows of videos, if there is a third input.
        video: Option<u32>,
        /// Rows `[n, c]` that pictures may show between their visual tokens (ends of lines).
        learned: Option<WeightId>,
    },
    /// Drops the first `skip` rows of the vision tower and joins each `join` of the others to one:
    /// `[patches(+1), c] -> [image, join * c]`. Present even when it changes nothing, because it turns
    /// patch rows into visual tokens.
    SelectRows {
        /// Rows to drop.
        skip: usize,
        /// Rows to join.
        join: usize,
        /// Only the first of the results stays: the picture's vector.
        pooled: bool,
    },
    /// A result: logits, or the vector of a text; of image rows, the vector of a picture. Defines no value.
    Output,
}

impl Op {
    /// Name of the operator in the printed graph.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Input(InputKind::Pixels) => "input.pixels",
            Op::Input(InputKind::FramePixels) => "input.frame_pixels",
            Op::Input(InputKind::TokenIds) => "input.token_ids",
            Op::Input(InputKind::Question) => "input.question",
            Op::Linear { .. } => "linear",
            Op::LearnedRow { .. } => "learned_row",
            Op::PrependRow { .. } => "prepend_row",
            Op::AddPosition { .. } => "add_position",
            Op::LayerNorm { .. } => "layer_norm",
            Op::RmsNorm { .. } => "rms_norm",
            Op::Rope { .. } => "rope",
            Op::Attention { .. } => "attention",
            Op::Depthwise { .. } => "depthwise",
            Op::Excite { .. } => "excite",
            Op::Concat { .. } => "concat",
            Op::AddRow => "add_row",
            Op::PoolWindows { .. } => "pool_windows",
            Op::Add => "add",
            Op::Mul => "mul",
            Op::Act(_) => "act",
            Op::Embedding { .. } => "embedding",
            Op::MergeImageRows { .. } => "merge_image_rows",
            Op::SelectRows { .. } => "select_rows",
            Op::Output => "output",
        }
    }

    /// The weights that the operator reads, in printing order.
    pub fn weights(&self) -> Vec<WeightId> {
        match self {
            Op::Linear { w, b } => std::iter::once(*w).chain(*b).collect(),
            Op::LayerNorm { w, b, .. } | Op::Depthwise { w, b, .. } | Op::PoolWindows { w, b, .. } => {
                vec![*w, *b]
            }
            Op::Excite { first, second } => [*first, *second].concat(),
            Op::MergeImageRows { learned, .. } => learned.iter().copied().collect(),
            Op::LearnedRow { w }
            | Op::PrependRow { w }
            | Op::AddPosition { w }
            | Op::RmsNorm { w, .. }
            | Op::Embedding { w } => {
                vec![*w]
            }
            _ => Vec::new(),
        }
    }

    /// Number of value inputs.
    pub fn input_count(&self) -> usize {
        match self {
            Op::Input(_) | Op::LearnedRow { .. } => 0,
            Op::Attention { .. } | Op::MergeImageRows { video: Some(_), .. } => 3,
            Op::Concat { parts } => *parts,
            Op::Add | Op::AddRow | Op::Mul | Op::MergeImageRows { video: None, .. } => 2,
            _ => 1,
        }
    }
}
