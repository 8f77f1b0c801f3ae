//! The compiler's stages by name: import → verify → fuse → layout → codegen → pack.
//!
//! [`STAGES`] is the ordered table that `--stop-after` and `--emit` know. Each stage's output is
//! verified before the next one runs.

mod channels;
mod clip;
mod fold;
mod follow;
mod pack;
mod pattern;

use crate::codegen::{
    generate, text_layout, video_layout, vision_layout, Build, Code, Dims, TextLayout, TowerLayout,
    VisionLayout,
};
use crate::diag::{Diagnostic, Diagnostics};
use crate::graph::Prune;
use crate::import::Model;
use crate::layout::dram::{DramMap, Kind, Space};
use crate::layout::pack::Storage;
use crate::layout::{words, LayerStorage};
use crate::plan::{fuse, Plan, Vision};
use crate::program::{
    CacheMeta, GroupsMeta, Meta, Program, Segment, TextMeta, VisionMeta, Writer, CODE_REGION,
};
use crate::quant::{Calibration, LayerReport, Prompts, Sparsity, Spec, Widths};
use flightvlm_hw::config::{HwConfig, TILE};
use flightvlm_hw::isa::{disassemble, isa_hash};
use flightvlm_hw::kernel::{Board, MemoryKind};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Mutex;

/// Tiles of full size that one prompt may show: single pictures, or those of models that cut them.
fn image_slots(plan: &Plan) -> usize {
    // Without a tower, a picture has as many tokens as many tiles of others.
    if plan.vision.as_ref().is_some_and(|v| v.patch.is_none() && v.conv.is_none()) {
        return 1;
    }
    let cut = plan.text.learned.is_some() || plan.vision.as_ref().is_some_and(|v| v.join > 1);
    if cut {
        40
    } else {
        16
    }
}

/// A stage: name and what its output shows.
pub const STAGES: [(&str, &str); 6] = [
    ("graph", "the tensor graph as imported, verified"),
    ("dot", "the same for Graphviz"),
    ("plan", "the fused form: towers of transformer layers"),
    ("map", "DRAM regions and on-chip regions with their lifetimes"),
    ("asm", "the instructions with the part of the model they compute"),
    ("stats", "sizes and instruction counts"),
];

/// What to compile for.
#[derive(Debug, Clone)]
pub struct Options {
    /// Hardware.
    pub config: HwConfig,
    /// Positions that the KV cache is laid out for.
    pub max_context: usize,
    /// How the language model's weights are stored.
    pub storage: Spec,
    /// Store each kind of linear layer in the pattern of the checkpoint's own zeros; `storage` says dense.
    pub detect_sparsity: bool,
    /// Bits of keys and values in the language model's cache: 8 or 4.
    pub kv_bits: u32,
    /// The language model can be left early and gone on with ([`crate::program::TextMeta::saved_row`]).
    pub early_exit: bool,
    /// Inputs of the language model's down projections and output layer have 16 bits instead of 8.
    pub wide_inputs: bool,
    /// How visual tokens are chosen where the request does not say; its read-outs are compiled in.
    pub prune: Option<Prune>,
    /// Leave weights out: code, map and timing only.
    pub no_weights: bool,
    /// Last stage to run, by its name in [`STAGES`]; `None`: all, and a program.
    pub stop_after: Option<String>,
}

impl Options {
    /// Dense 8-bit weights and cache for a target.
    pub fn new(config: HwConfig, max_context: usize) -> Options {
        let storage = Spec::dense(Widths::Uniform(8));
        Options {
            config,
            max_context,
            storage,
            kv_bits: 8,
            early_exit: false,
            wide_inputs: false,
            prune: None,
            detect_sparsity: false,
            no_weights: false,
            stop_after: None,
        }
    }

    fn build(&self) -> Build {
        let Spec { widths, sparsity, group_words } = self.storage;
        let layers = Storage { widths, sparsity, group_words, slices: self.config.slices };
        let head = Widths::Uniform(head_bits(widths));
        let head = Storage { widths: head, sparsity: Sparsity::Dense, ..layers };
        let (read_outs, grouped) = (self.prune.map_or(0, |p| p.method.read_outs()), self.prune.is_some());
        let (config, kv_bits, early_exit) = (self.config.clone(), self.kv_bits, self.early_exit);
        let (wide_inputs, layers) = (self.wide_inputs, LayerStorage::uniform(layers));
        Build { config, layers, head, kv_bits, early_exit, wide_inputs, read_outs, grouped }
    }
}

/// Bits of the output layer, which is dense. At least 6: its errors go straight into the logits (SmolLM2 with W4
/// layers: perplexity 51.5 with 6 bits, 52.2 with 4), and it is a small part of a model of some billion weights.
fn head_bits(layers: Widths) -> u8 {
    match layers {
        Widths::Uniform(bits) => bits.max(6),
        Widths::Mixed { average_bits } if average_bits <= 4.0 => 6,
        Widths::Mixed { .. } => 8,
    }
}

/// What the stages printed, and the program unless stopped before.
pub struct Compiled<'m> {
    /// Output of each stage that ran, by name.
    pub stages: Vec<(&'static str, String)>,
    /// The program.
    pub program: Option<Built<'m>>,
}

/// A program whose weights are packed when it is written or collected.
pub struct Built<'m> {
    /// Everything but the contents.
    pub program: Program,
    model: &'m Model,
    plan: Plan,
    laid: Laid,
    build: Build,
    no_weights: bool,
}

impl Built<'_> {
    /// Packs the weights, record by record.
    fn pack<E: From<Diagnostics>>(
        &self,
        calibration: Option<&Calibration>,
        report: Option<&Mutex<Vec<LayerReport>>>,
        sink: &mut dyn FnMut(pack::Piece<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.no_weights {
            return Ok(());
        }
        pack::all(&self.plan, &self.laid, &self.build, &self.model.weights, calibration, report, sink)
    }

    /// Chooses the scales that are folded into norms and weights, from the calibration's samples.
    pub fn fold(&self, calibration: &mut Calibration) -> Result<(), Diagnostics> {
        if !self.no_weights {
            calibration.folding = fold::all(&self.plan, &self.build, &self.model.weights, calibration)?;
        }
        Ok(())
    }

    /// Takes the calibration's prompts through the language model layer by layer, each compressed before the next
    /// is looked at; behind [`Built::fold`]. `search`: how strongly weights may be clipped is looked for block by
    /// block; takes many times as long.
    pub fn follow(
        &self,
        calibration: &mut Calibration,
        prompts: &Prompts,
        search: bool,
    ) -> Result<(), Diagnostics> {
        if !self.no_weights {
            let seen = (calibration, prompts);
            follow::all(&self.plan, &self.laid, &self.build, self.model, seen, search)?;
        }
        Ok(())
    }

    /// The program with its weights in memory.
    pub fn collect(self, calibration: Option<&Calibration>) -> Result<Program, Diagnostics> {
        let mut contents: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let mut current = String::new();
        self.pack::<Diagnostics>(calibration, None, &mut |piece| {
            match piece {
                pack::Piece::Region(name) => {
                    current = name.into();
                    contents.insert(name.into(), Vec::new());
                }
                pack::Piece::Bytes(b) => contents.entry(current.clone()).or_default().extend(b),
            }
            Ok(())
        })?;
        Ok(Program { contents, ..self.program })
    }

    /// Writes the program file; weights are packed and written layer by layer.
    pub fn write(&self, path: &Path, calibration: Option<&Calibration>) -> Result<(), WriteError> {
        self.write_with(path, calibration, None)
    }

    /// The same, and what compression costs in each linear layer. Takes longer: every layer is rounded to nearest, too.
    pub fn write_measured(
        &self,
        path: &Path,
        calibration: Option<&Calibration>,
    ) -> Result<Vec<LayerReport>, WriteError> {
        let report = Mutex::new(Vec::new());
        self.write_with(path, calibration, Some(&report))?;
        Ok(report.into_inner().unwrap_or_else(|e| e.into_inner()))
    }

    fn write_with(
        &self,
        path: &Path,
        calibration: Option<&Calibration>,
        report: Option<&Mutex<Vec<LayerReport>>>,
    ) -> Result<(), WriteError> {
        let mut w = Writer::create(path)?;
        w.code(&self.program.code)?;
        self.pack::<WriteError>(calibration, report, &mut |piece| match piece {
            pack::Piece::Region(name) => Ok(w.content(name)?),
            pack::Piece::Bytes(b) => Ok(w.append(b)?),
        })?;
        for (name, bytes) in &self.program.assets {
            w.asset(name, bytes)?;
        }
        Ok(w.finish(&self.program.meta)?)
    }
}

/// Why a program could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The checkpoint's weights.
    #[error("{0}")]
    Weights(Diagnostics),
    /// The file.
    #[error(transparent)]
    File(#[from] crate::program::ProgramError),
}

impl From<Diagnostics> for WriteError {
    fn from(d: Diagnostics) -> Self {
        WriteError::Weights(d)
    }
}

/// Runs the stages.
pub fn compile<'m>(model: &'m Model, options: &Options) -> Result<Compiled<'m>, Diagnostics> {
    let mut stages = Vec::new();
    let stop = |stages: &[(&'static str, String)]| {
        let last = stages.last().map(|s| s.0);
        options.stop_after.as_deref().is_some_and(|s| Some(s) == last)
    };
    verify_graph(model)?;
    stages.push(("graph", model.graph.to_string()));
    if stop(&stages) {
        return Ok(Compiled { stages, program: None });
    }
    stages.push(("dot", crate::graph::dot(&model.graph)));
    if stop(&stages) {
        return Ok(Compiled { stages, program: None });
    }
    if let Some(prune) = &options.prune {
        prune.check(&model.spec)?;
    }
    if options.early_exit && model.spec.contrast.is_some() {
        return Err(Diagnostic::new(
            "--early-exit",
            "a model that writes text",
            &model.spec.architecture,
            "leave the option out",
        )
        .into());
    }
    let plan = fuse(&model.graph)?;
    stages.push(("plan", plan.to_string()));
    if stop(&stages) {
        return Ok(Compiled { stages, program: None });
    }
    let mut build = options.build();
    if options.detect_sparsity {
        build.layers = pattern::detect(&plan, &build, &model.weights)?;
    }
    let mut laid =
        lay_out(&plan, &build, options, 1).map_err(|faults| beside(faults, &plan, &build, options))?;
    stages.push(("map", format!("{}\n{}", laid.dram, laid.shown(options))));
    if stop(&stages) {
        return Ok(Compiled { stages, program: None });
    }
    let mut code = generate(&plan, laid.pictures(), &laid.text);
    if code.asm.insns.len() as u32 > options.config.imem_words {
        // In pieces, which need more room.
        laid = lay_out(&plan, &build, options, code.entries().len() as u32)?;
        code = generate(&plan, laid.pictures(), &laid.text);
    }
    let stored = stored(&code, options)?;
    stages.push(("asm", listing(&code)));
    if stop(&stages) {
        return Ok(Compiled { stages, program: None });
    }
    let program = assemble(model, &plan, (&laid, &build), (&code, stored), options);
    stages.push(("stats", stats(&program, &plan, &laid)));
    crate::program::verify(&program).map_err(|what| {
        Diagnostic::new(
            "program",
            "a consistent program",
            what,
            "this is a defect of the compiler; please report it",
        )
    })?;
    let no_weights = options.no_weights;
    Ok(Compiled { stages, program: Some(Built { program, model, plan, laid, build, no_weights }) })
}

/// The instructions as they lie in memory, in the pieces that they are launched in.
fn stored(code: &Code, options: &Options) -> Result<(Vec<u8>, Vec<Segment>), Diagnostics> {
    let words: Vec<_> = code.asm.insns.iter().map(|i| i.encode()).collect();
    crate::program::store(&words, &code.entries(), options.config.imem_words).map_err(|len| {
        let expected = format!("at most {} instructions between entry points", options.config.imem_words);
        let help = "use a target with a larger instruction memory; `--device eval` runs the model";
        Diagnostic::new("code", expected, format!("{len} instructions"), help).into()
    })
}

fn verify_graph(model: &Model) -> Result<(), Diagnostics> {
    let errors = model.graph.verify();
    let mut all = Diagnostics::new();
    for e in errors {
        all.push(Diagnostic::new(
            "graph",
            "a consistent graph",
            e.to_string(),
            "check config.json against the weights",
        ));
    }
    all.into_result(())
}

struct Laid {
    dram: DramMap,
    vision: Option<VisionLayout>,
    video: Option<VisionLayout>,
    text: TextLayout,
}

impl Laid {
    /// Of pictures, and of frames of videos.
    fn pictures(&self) -> [Option<&VisionLayout>; 2] {
        [self.vision.as_ref(), self.video.as_ref()]
    }

    /// What the map says beside the regions: channels and on-chip memories.
    fn shown(&self, options: &Options) -> String {
        format!("{}\n{}", channels::describe(self, &options.config), self.onchip())
    }

    fn onchip(&self) -> String {
        let mut out = String::new();
        let towers = [
            self.vision.as_ref().map(|v| ("vision", v.chip())),
            Some(("text", (&self.text.dims, &self.text.chip))),
        ];
        for (name, (dims, chip)) in towers.into_iter().flatten() {
            let _ = writeln!(out, "{name}: tile of {} rows", dims.tile_rows);
            for (memory, m) in [("spad", &chip.spad), ("abuf", &chip.abuf), ("s", &chip.s)] {
                let _ = write!(out, " {memory} ({} words)\n{m}", m.words());
            }
        }
        out
    }
}

/// Faults of the layout, and those of the memories behind them: on-chip memories do not decide what DRAM holds.
fn beside(mut faults: Diagnostics, plan: &Plan, build: &Build, options: &Options) -> Diagnostics {
    let config =
        HwConfig { spad_words: 1 << 24, abuf_words: 1 << 24, s_words: 1 << 24, ..build.config.clone() };
    if let Err(more) = lay_out(plan, &Build { config, ..build.clone() }, options, 1) {
        faults.extend_new(more);
    }
    faults
}

/// Everything's place; the code's region comes first, with room for `pieces` whole instruction memories.
fn lay_out(plan: &Plan, build: &Build, options: &Options, pieces: u32) -> Result<Laid, Diagnostics> {
    let mut dram = DramMap::new(build.config.slices);
    let imem_units = u64::from(pieces * build.config.imem_words.div_ceil(2));
    dram.add(Space::Main, CODE_REGION, Kind::Content, 1, imem_units)
        .expect("invariant: the first region fits");
    let mut vision = plan.vision.as_ref().map(|v| vision_layout(v, build, &mut dram)).transpose()?;
    let mut video = match (&plan.video, &vision) {
        (Some(v), Some(pictures)) => Some(video_layout(v, pictures, build, &mut dram)?),
        _ => None,
    };
    let learned = plan.text.learned.map_or(0, |(_, rows)| rows);
    // Visual tokens have the language model's width, vectors of pictures one of their own.
    let rows_of = |v: &Vision| {
        let tower = || v.patch.as_ref().map_or(0, |patch| patch.cols_out);
        let width = v.projector.last().map_or_else(tower, |(l, _)| l.cols_out);
        v.tokens * image_slots(plan) * words(width).div_ceil(words(plan.text.hidden)) as usize
    };
    let visual_rows = plan.vision.iter().chain(&plan.video).map(rows_of).max().unwrap_or(0);
    let text = text_layout(&plan.text, learned + visual_rows, options.max_context, build, &mut dram)?;
    for v in vision.iter_mut().chain(&mut video) {
        let table = dram.get("text.embed").expect("invariant: text_layout adds it").base;
        v.set_features(table + (plan.text.vocab + learned) as u32 * text.dims.dw);
    }
    check_capacity(&dram, build, options)?;
    Ok(Laid { dram, vision, video, text })
}

/// Does the map fit the target's memories? The message says what would make it fit.
fn check_capacity(dram: &DramMap, build: &Build, options: &Options) -> Result<(), Diagnostics> {
    let config = &build.config;
    let mut all = Diagnostics::new();
    for (space, mib, what) in [
        (Space::Main, config.main_mib, "main memory"),
        (Space::Channels, config.channel_mib, "each weight channel"),
    ] {
        let (needs, has) = (u64::from(dram.end(space)) * 64, u64::from(mib) << 20);
        if needs <= has {
            continue;
        }
        let mut help = format!("use a target with more memory than `{}`", config.name);
        if space == Space::Channels {
            let of = |f: &dyn Fn(&str) -> bool| -> u64 {
                dram.regions
                    .iter()
                    .filter(|r| r.space == space && f(&r.name))
                    .map(|r| u64::from(r.units) * 64)
                    .sum()
            };
            let cache = of(&|n| n.ends_with("cache"));
            if let Some(room) = has.checked_sub(needs - cache) {
                let context = options.max_context as u64 * room / cache.max(1) / 16 * 16;
                help = format!("--max-context {context} or less; or {help}");
            }
            let (layers, head) = (of(&|n| n == "text.layers"), of(&|n| n == "text.head"));
            if let Some(bits) = fitting_bits(options.storage.widths, layers, head, needs - has) {
                help = format!("weights of {bits} bits or less (--weights mixed={bits}); or {help}");
            }
        }
        all.push(Diagnostic::new(
            format!("{what} of target `{}`", config.name),
            format!("at most {has} bytes"),
            format!("{needs} bytes: {} too many", needs - has),
            help,
        ));
    }
    if all.is_empty() {
        all.extend(shared_memory(dram, config));
    }
    all.into_result(())
}

/// Cards without DDR: main memory and the channels are parts of the same HBM.
fn shared_memory(dram: &DramMap, config: &HwConfig) -> Diagnostics {
    let mut all = Diagnostics::new();
    let Ok(board) = Board::of(config) else { return all };
    if board.memories[board.main_memory()].kind != MemoryKind::Hbm {
        return all;
    }
    let bytes = |space| u64::from(dram.end(space)) * 64;
    let needs = bytes(Space::Main) + u64::from(config.slices) * bytes(Space::Channels);
    let has: u64 = board.memories.iter().map(|memory| memory.size_bytes).sum();
    if needs > has {
        all.push(Diagnostic::new(
            format!("HBM of target `{}`, main memory and {} channels together", config.name, config.slices),
            format!("at most {has} bytes"),
            format!("{needs} bytes: {} too many", needs - has),
            format!(
                "weights of fewer bits, a lower --max-context, or a target with more memory than `{}`",
                config.name
            ),
        ));
    }
    all
}

/// The widest average, in tenths of a bit, with which layers and output layer take `excess` bytes less.
fn fitting_bits(now: Widths, layers: u64, head: u64, excess: u64) -> Option<f32> {
    let bits = match now {
        Widths::Uniform(bits) => f32::from(bits),
        Widths::Mixed { average_bits } => average_bits,
    };
    let size = |average_bits: f32| {
        let head_share = f64::from(head_bits(Widths::Mixed { average_bits })) / f64::from(head_bits(now));
        layers as f64 * f64::from(average_bits / bits) + head as f64 * head_share
    };
    let limit = (layers + head).checked_sub(excess)? as f64;
    let tenths = (20..(bits * 10.0).ceil() as u32).rev();
    tenths.map(|t| t as f32 / 10.0).find(|b| size(*b) <= limit)
}

fn listing(code: &Code) -> String {
    let mut out = String::new();
    let mut marks = code.asm.marks.iter().peekable();
    for (pc, insn) in code.asm.insns.iter().enumerate() {
        while let Some((_, what)) = marks.next_if(|(at, _)| *at as usize == pc) {
            let _ = writeln!(out, "; {what}");
        }
        let _ = writeln!(out, "{:<120} ; {pc}", disassemble(insn));
    }
    out
}

fn stats(p: &Program, plan: &Plan, laid: &Laid) -> String {
    let m = &p.meta;
    let text: u64 = laid.text.layer.pieces().map(|(_, p)| p.macs_per_row()).sum::<u64>()
        * plan.text.layers.len() as u64
        + laid.text.head.macs_per_row();
    let mut out = format!(
        "instructions {}\nprogram_bytes {}\nweight_bytes {}\nmain_bytes {}\nchannel_bytes {} x {}\n\
         kv_bytes_per_token {}\nmax_context {}\ntile_rows {}\nstored_macs_per_token {text}\n",
        m.code_len,
        p.code_bytes(),
        p.weight_bytes(),
        u64::from(m.dram.end(Space::Main)) * 64,
        m.dram.channels,
        u64::from(m.dram.end(Space::Channels)) * 64,
        m.kv_bytes_per_token,
        m.text.max_context,
        m.text.tile_rows,
    );
    let tower = laid.vision.as_ref().and_then(|v| v.tower()).map(|t| &t.layer);
    let vision = tower.iter().flat_map(|l| l.pieces()).map(|(_, piece)| ("vision", piece));
    let text = laid.text.layer.pieces().map(|(_, piece)| ("text", piece));
    for (name, piece) in vision.chain(text).chain([("head", &laid.text.head)]) {
        let path = &piece.parts[0].linear.path;
        let unit = piece.tile_units() * 64;
        let _ = writeln!(
            out,
            "{name} {path}: {} tiles of {} words, {} {}, {unit} bytes in a row, {} per channel",
            piece.tiles(),
            piece.words(),
            piece.spec.widths,
            piece.spec.sparsity,
            piece.rounds()
        );
    }
    out
}

fn assemble(
    model: &Model,
    plan: &Plan,
    (laid, build): (&Laid, &Build),
    (code, (bytes, segments)): (&Code, (Vec<u8>, Vec<Segment>)),
    options: &Options,
) -> Program {
    let (t, d) = (&plan.text, &laid.text.dims);
    let text = TextMeta {
        entry: code.text_entry,
        prefix: code.prefix.map(|p| (p.layers, p.logits)),
        max_context: d.positions as usize,
        tile_rows: d.tile_rows as usize,
        vocab: t.vocab,
        outputs: t.head.cols_out,
        row_units: d.dw,
        logit_units: laid.text.logit_words,
        rope_half_words: if d.rope { d.half_words } else { 0 },
        rope_pairs: d.head_dim as usize / 2,
        rotary: t.layers[0].attention.rope.clone(),
        saved_row: laid.text.saved_row,
        cache: cache_meta(d),
    };
    let vision = plan.vision.as_ref().zip(laid.vision.as_ref()).zip(code.vision_entry);
    let vision = vision.map(|((v, l), entry)| VisionMeta {
        entry,
        rest: code.vision_rest.clone(),
        video_entry: code.video_entry,
        rows: v.rows,
        has_class: v.has_class,
        pixel_cols: v.pixel_cols,
        pixel_units: l.pixel_words(),
        tokens: plan.video.as_ref().map_or(v.tokens, |video| video.tokens.max(v.tokens)),
        slots: image_slots(plan),
        learned_rows: plan.text.learned.map_or(0, |(_, rows)| rows),
        rope_half_words: if l.chip().0.rope { l.chip().0.half_words } else { 0 },
        rope_pairs: l.chip().0.head_dim as usize / 2,
        rotary: v.layers.first().and_then(|layer| layer.attention.rope.clone()),
        read_outs: l.tower().and_then(|t| t.read_out.as_ref()).map_or(0, |r| r.records),
        read_out_units: l.chip().0.scw,
        prune: options.prune,
        groups: code.groups_entry.zip(l.tower()).and_then(|(entry, tower)| groups_meta(entry, tower)),
    });
    let meta = Meta {
        isa_hash: isa_hash(&options.config),
        config: options.config.clone(),
        weights: options.storage.widths.to_string(),
        sparsity: build.layers.to_string(),
        model: model.spec.clone(),
        dram: laid.dram.clone(),
        kv_bits: options.kv_bits,
        mask: t.layers[0].attention.mask,
        kv_bytes_per_token: kv_bytes_per_token(plan, laid),
        code_len: code.asm.insns.len() as u32,
        segments,
        marks: code.asm.marks.clone(),
        text,
        vision,
        onchip: laid.shown(options),
    };
    Program { meta, code: bytes, contents: BTreeMap::new(), assets: BTreeMap::new() }
}

/// Where keys and values of a tower lie.
fn cache_meta(d: &Dims) -> CacheMeta {
    CacheMeta {
        kv_heads: d.kv_heads,
        key_slots: d.k_slots(),
        key_tile_units: d.k_tile_units(),
        head_words: d.hw,
        value_tile_units: d.v_tile_units(),
        value_block_units: d.kv_word_units(),
        value_scale_units: d.positions / TILE as u32,
    }
}

/// What the driver needs to choose and to launch groups of the tower's rows.
fn groups_meta(entry: u32, tower: &TowerLayout) -> Option<GroupsMeta> {
    let chain = &tower.projector.chain;
    Some(GroupsMeta {
        entry,
        rows: chain.groups.as_ref()?.rows as usize,
        row_units: tower.dims.dw,
        weight_units: chain.linears.iter().flatten().map(|piece| piece.units()).sum(),
        cache: cache_meta(&tower.dims),
        chooses: tower.choice.is_some(),
    })
}

/// Keys, values and their scales of one position, all layers.
fn kv_bytes_per_token(plan: &Plan, laid: &Laid) -> u64 {
    let d = &laid.text.dims;
    let head = 2 * d.hw * 16 * d.kv_bits / 8 + 2 * 4;
    u64::from(d.kv_heads * head) * plan.text.layers.len() as u64
}
