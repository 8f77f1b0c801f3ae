//! A compiled program: code, weights as the hardware streams them, and what the driver needs to
//! know to run it. [`file`] is its form on disk.

mod file;
mod segment;

pub(crate) use file::verify;
pub use file::{read, write, ProgramError, Writer, MAGIC, VERSION};
pub(crate) use segment::store;
pub use segment::Segment;

use crate::diag::Diagnostic;
use crate::graph::{BlockMask, ModelSpec, Prune, Rotary};
use crate::layout::dram::DramMap;
use flightvlm_hw::config::HwConfig;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the driver needs for the language model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TextMeta {
    /// pc of the entry point.
    pub entry: u32,
    /// pcs of the entry points of prompts whose rows see each other: layers, and logits of rows.
    pub prefix: Option<(u32, u32)>,
    /// Positions that the cache holds.
    pub max_context: usize,
    /// Rows of a tile: the most rows whose logits one launch can give.
    pub tile_rows: usize,
    /// Rows of the embedding table.
    pub vocab: usize,
    /// Columns of the result: logits, or the vector of a row.
    pub outputs: usize,
    /// DRAM units of a residual row (embedding row, visual token).
    pub row_units: u32,
    /// DRAM units of a logits row.
    pub logit_units: u32,
    /// Rotary table: words of each half (cos, sin) of a row; 0 without.
    pub rope_half_words: u32,
    /// Pairs of a row that are used: half the columns of a head.
    pub rope_pairs: usize,
    /// What the table holds.
    pub rotary: Option<Rotary>,
    /// With early exits: the first row, counted from the embedding table's, of those that a launch leaves, one for
    /// each position: the residual stream behind the last layer that ran.
    pub saved_row: Option<u32>,
    /// Where rows lie in the cache.
    pub cache: CacheMeta,
}

impl TextMeta {
    /// Arguments of a launch that say which logits are wanted (one of [`crate::codegen::logits`]) and, of programs with
    /// early exits, which layers run.
    pub fn wanted(&self, layers: std::ops::Range<usize>, mode: u32) -> [(usize, u32); 2] {
        use crate::codegen::{text_args, LAYERS_SHIFT};
        let (first, count) = match self.saved_row {
            None => (0, 0),
            Some(_) => (layers.start as u32, layers.len() as u32),
        };
        [(text_args::LOGITS, mode | count << LAYERS_SHIFT), (text_args::FIRST_LAYER, first)]
    }
}

/// Places of keys and values in the regions `text.k_cache`, `text.v_cache` (slots dealt out to the channels) and
/// `text.v_scales`, each with a record for every layer. A block is 16 positions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CacheMeta {
    /// Key/value heads.
    pub kv_heads: u32,
    /// Slots of key tiles from head to head; a block has one.
    pub key_slots: u32,
    /// Units of a key tile.
    pub key_tile_units: u32,
    /// Value tiles of a head.
    pub head_words: u32,
    /// Units of a value tile, which has all blocks.
    pub value_tile_units: u32,
    /// Units of a block in it.
    pub value_block_units: u32,
    /// Units of value scales of a head: one a block.
    pub value_scale_units: u32,
}

/// What the driver needs for the vision tower.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VisionMeta {
    /// pc of the entry point.
    pub entry: u32,
    /// Rows in the tower, of a tile of full size.
    pub rows: usize,
    /// Row 0 is the class row: the driver leaves its pixels zero.
    pub has_class: bool,
    /// Pixels of a patch (columns of a row).
    pub pixel_cols: usize,
    /// DRAM units of a pixel row.
    pub pixel_units: u32,
    /// pcs of the entry points that are launched behind it, of towers in several pieces.
    #[serde(default)]
    pub rest: Vec<u32>,
    /// pc of the entry point of frames of videos.
    #[serde(default)]
    pub video_entry: Option<u32>,
    /// Visual tokens of a tile of full size, or of a frame of a video if these are more.
    pub tokens: usize,
    /// Tiles of that size that a prompt may show.
    pub slots: usize,
    /// Learned rows between the vocabulary and the visual tokens.
    pub learned_rows: usize,
    /// Rotary table: words of each half (cos, sin) of a row; 0 without.
    pub rope_half_words: u32,
    /// Pairs of a row that are used: half the columns of a head.
    pub rope_pairs: usize,
    /// What the table holds.
    pub rotary: Option<Rotary>,
    /// Layers whose attention is read out: 0, 1 (the last) or 2 (and the first).
    pub read_outs: u32,
    /// DRAM units of what one leaves.
    pub read_out_units: u32,
    /// How visual tokens are chosen where the request does not say.
    pub prune: Option<Prune>,
    /// Visual tokens are made of groups of the tower's rows, in launches behind the tower's.
    #[serde(default)]
    pub groups: Option<GroupsMeta>,
}

/// What the driver needs to choose groups of a tower's rows, and to have visual tokens made of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupsMeta {
    /// pc of the entry point.
    pub entry: u32,
    /// Groups of a launch at most.
    pub rows: usize,
    /// DRAM units of a row of the tower.
    pub row_units: u32,
    /// Units of the projector's weights in each channel, which every launch reads.
    pub weight_units: u32,
    /// Where the tower's keys lie.
    pub cache: CacheMeta,
    /// Launches choose the tokens that stay, where others are dropped.
    #[serde(default)]
    pub chooses: bool,
}

impl VisionMeta {
    /// Does the program leave the attention that a method asks for, and take groups of rows?
    pub fn check_prune(&self, prune: &Prune) -> Result<(), Diagnostic> {
        let compiled = self.prune.filter(|_| self.groups.is_some());
        let reads_out =
            compiled.is_some_and(|compiled| prune.method.read_outs() <= compiled.method.read_outs());
        let chooses = prune.method.merges() || self.groups.as_ref().is_some_and(|groups| groups.chooses);
        if reads_out && chooses {
            return Ok(());
        }
        let got = match (self.prune, compiled) {
            (None, _) => "none".to_string(),
            (Some(_), Some(_)) if reads_out => {
                "one of an earlier version, which chooses no tokens".to_string()
            }
            (Some(prune), Some(_)) => format!("--prune {}", prune.method),
            (Some(_), None) => "one of an earlier version, whose projector takes whole tiles".to_string(),
        };
        Err(Diagnostic::new(
            "--prune",
            format!("a program compiled with --prune {}", prune.method),
            got,
            "compile the model again with that option, or give the checkpoint folder",
        ))
    }
}

/// Everything but code and weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// Hash of ISA and configuration that the code is for.
    pub isa_hash: u32,
    /// Configuration that the code is for.
    pub config: HwConfig,
    /// Widths of the language model's weights.
    pub weights: String,
    /// Their sparsity.
    pub sparsity: String,
    /// Facts about the model.
    pub model: ModelSpec,
    /// DRAM regions.
    pub dram: DramMap,
    /// Bits of keys and values in the cache.
    pub kv_bits: u32,
    /// What the language model's rows see: all before them, or blocks of that.
    pub mask: Option<BlockMask>,
    /// Bytes of keys and values that a token adds.
    pub kv_bytes_per_token: u64,
    /// Instructions.
    pub code_len: u32,
    /// Pieces that they are launched in.
    pub segments: Vec<Segment>,
    /// First instruction of each part of the model, for reports.
    pub marks: Vec<(u32, String)>,
    /// Language model.
    pub text: TextMeta,
    /// Vision tower.
    pub vision: Option<VisionMeta>,
    /// On-chip maps as text, for `inspect`.
    pub onchip: String,
}

impl Meta {
    /// The part of the model that the instruction at `pc` computes.
    pub fn part(&self, pc: u32) -> &str {
        let found = self.marks.iter().take_while(|(at, _)| *at <= pc).last();
        found.map_or("unknown", |(_, what)| what)
    }
}

/// A program in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Program {
    /// Description.
    pub meta: Meta,
    /// Stored instructions ([`flightvlm_hw::isa::store_code`]), each piece padded to a unit.
    pub code: Vec<u8>,
    /// Contents of the memory regions of kind `Content` (all but the code), as
    /// [`crate::layout::dram::Region::records`] says; empty when compiled without weights.
    pub contents: BTreeMap<String, Vec<u8>>,
    /// Tokenizer, preprocessing, templates, by file name.
    pub assets: BTreeMap<String, Vec<u8>>,
}

impl Program {
    /// Bytes of the instructions.
    pub fn code_bytes(&self) -> usize {
        flightvlm_hw::isa::store_code(&self.words()).len()
    }
    /// The instruction at `pc` as text.
    pub fn instruction(&self, pc: u32) -> Option<String> {
        let insn = flightvlm_hw::isa::Insn::decode(self.words().get(pc as usize)?).ok()?;
        Some(flightvlm_hw::isa::disassemble(&insn))
    }
    /// A number that differs between programs: of their description and all contents.
    pub fn fingerprint(&self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&serde_json::to_vec(&self.meta).expect("invariant: plain data"));
        self.contents.values().for_each(|bytes| hasher.update(bytes));
        hasher.finalize()
    }
    /// Bytes of weights and tables.
    pub fn weight_bytes(&self) -> u64 {
        use crate::layout::dram::Kind;
        let dram = &self.meta.dram;
        let content = dram.regions.iter().filter(|r| r.kind == Kind::Content && r.name != CODE_REGION);
        content.map(|r| dram.bytes(r)).sum()
    }
}

/// Name of the code's memory region.
pub const CODE_REGION: &str = "code";
