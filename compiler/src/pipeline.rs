//! The compiler's stages by name: import → verify → fuse → layout → codegen → pack.
//!
//! [`STAGES`] is the ordered table that `--stop-after` and `--emit` know. Each stage's output is
//! verified before the next one runs.

use crate::codegen::{generate, text_layout, vision_layout, Code, TextLayout, VisionLayout};
use crate::diag::{Diagnostic, Diagnostics};
use crate::import::{Model, WeightStore};
use crate::layout::dram::{DramMap, Kind};
use crate::layout::pack::{matrix, vector, Packed};
use crate::layout::words;
use crate::plan::{fuse, Layer, Norm, Plan, Vision};
use crate::program::{Meta, Program, TextMeta, VisionMeta, CODE_REGION};
use crate::quant::Calibration;
use flightvlm_hw::config::HwConfig;
use flightvlm_hw::isa::{disassemble, isa_hash, INSN_BYTES};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Image slots of a program: pictures that one prompt may show.
pub const IMAGE_SLOTS: usize = 16;

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
    /// Weight format; `w8` is the only one so far.
    pub weights: String,
    /// What the linear layers read, for quantisation that knows it.
    pub calibration: Option<Calibration>,
    /// Leave weights out: code, map and timing only.
    pub no_weights: bool,
    /// Last stage to run, by its name in [`STAGES`]; `None`: all, and a program.
    pub stop_after: Option<String>,
}

/// What the stages printed, and the program unless stopped before.
pub struct Compiled {
    /// Output of each stage that ran, by name.
    pub stages: Vec<(&'static str, String)>,
    /// The program.
    pub program: Option<Program>,
}

/// Runs the stages.
pub fn compile(model: &Model, options: &Options) -> Result<Compiled, Diagnostics> {
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
    let plan = fuse(&model.graph)?;
    stages.push(("plan", plan.to_string()));
    if stop(&stages) {
        return Ok(Compiled { stages, program: None });
    }
    let laid = lay_out(&plan, options)?;
    let onchip = laid.onchip();
    stages.push(("map", format!("{}\n{onchip}", laid.dram)));
    if stop(&stages) {
        return Ok(Compiled { stages, program: None });
    }
    let code = generate(&plan, laid.vision.as_ref(), &laid.text);
    if code.asm.insns.len() as u32 > options.config.imem_words {
        return Err(Diagnostic::new(
            "code",
            format!("at most {} instructions", options.config.imem_words),
            format!("{} instructions", code.asm.insns.len()),
            "this is a defect of the compiler; please report it",
        )
        .into());
    }
    stages.push(("asm", listing(&code)));
    if stop(&stages) {
        return Ok(Compiled { stages, program: None });
    }
    let program = assemble(model, &plan, &laid, &code, options)?;
    stages.push(("stats", stats(&program)));
    crate::program::verify(&program).map_err(|what| {
        Diagnostic::new(
            "program",
            "a consistent program",
            what,
            "this is a defect of the compiler; please report it",
        )
    })?;
    Ok(Compiled { stages, program: Some(program) })
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
    text: TextLayout,
}

impl Laid {
    fn onchip(&self) -> String {
        let mut out = String::new();
        let towers = [
            self.vision.as_ref().map(|v| ("vision", &v.dims, &v.chip)),
            Some(("text", &self.text.dims, &self.text.chip)),
        ];
        for (name, dims, chip) in towers.into_iter().flatten() {
            let _ = writeln!(out, "{name}: tile of {} rows", dims.tile_rows);
            for (memory, m) in [("spad", &chip.spad), ("abuf", &chip.abuf), ("s", &chip.s)] {
                let _ = write!(out, " {memory} ({} words)\n{m}", m.words());
            }
        }
        out
    }
}

/// Code units reserved in front: the whole instruction memory.
fn lay_out(plan: &Plan, options: &Options) -> Result<Laid, Diagnostics> {
    let mut dram = DramMap::default();
    let imem_units = options.config.imem_words.div_ceil(2);
    dram.add(CODE_REGION, Kind::Content, imem_units).expect("invariant: the first region fits");
    let mut vision =
        plan.vision.as_ref().map(|v| vision_layout(v, &options.config, &mut dram)).transpose()?;
    let visual_rows = plan.vision.as_ref().map_or(0, |v| v.tokens * IMAGE_SLOTS);
    let text = text_layout(&plan.text, visual_rows, options.max_context, &options.config, &mut dram)?;
    if let Some(v) = &mut vision {
        let table = dram.get("text.embed").expect("invariant: text_layout adds it").base;
        v.set_features(table + plan.text.vocab as u32 * text.dims.dw);
    }
    Ok(Laid { dram, vision, text })
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

fn stats(p: &Program) -> String {
    let weights: usize = p.contents.values().map(Vec::len).sum();
    format!(
        "instructions {}\nprogram_bytes {}\nweight_bytes {weights}\ndram_bytes {}\nmax_context {}\ntile_rows {}\n",
        p.meta.code_len,
        p.meta.code_len as usize * INSN_BYTES,
        u64::from(p.meta.dram.end()) * 64,
        p.meta.text.max_context,
        p.meta.text.tile_rows,
    )
}

fn assemble(
    model: &Model,
    plan: &Plan,
    laid: &Laid,
    code: &Code,
    options: &Options,
) -> Result<Program, Diagnostics> {
    let mut bytes: Vec<u8> = code.asm.insns.iter().flat_map(|i| i.encode().to_bytes()).collect();
    bytes.resize(bytes.len().next_multiple_of(64), 0);
    let contents = if options.no_weights { BTreeMap::new() } else { pack_all(plan, laid, &model.weights)? };
    let (t, d) = (&plan.text, &laid.text.dims);
    let rope = t.layers[0].attention.rope.as_ref();
    let text = TextMeta {
        entry: code.text_entry,
        max_context: d.positions as usize,
        tile_rows: d.tile_rows as usize,
        vocab: t.vocab,
        row_units: d.dw,
        logit_units: laid.text.logit_words,
        rope_half_words: if d.rope { d.half_words } else { 0 },
        rope_inv_freq: rope.map(|r| r.inv_freq.clone()).unwrap_or_default(),
        rope_scaling: rope.map_or(1.0, |r| r.scaling),
    };
    let vision = plan.vision.as_ref().zip(laid.vision.as_ref()).zip(code.vision_entry);
    let vision = vision.map(|((v, l), entry)| VisionMeta {
        entry,
        rows: v.rows,
        has_class: v.has_class,
        pixel_cols: v.patch.cols_in,
        pixel_units: l.pixel_words,
        tokens: v.tokens,
        slots: IMAGE_SLOTS,
    });
    let meta = Meta {
        isa_hash: isa_hash(&options.config),
        config: options.config.clone(),
        weights: options.weights.clone(),
        model: model.spec.clone(),
        dram: laid.dram.clone(),
        code_len: code.asm.insns.len() as u32,
        marks: code.asm.marks.clone(),
        text,
        vision,
        onchip: laid.onchip(),
    };
    Ok(Program { meta, code: bytes, contents, assets: BTreeMap::new() })
}

type Packs = BTreeMap<String, Vec<u8>>;

fn pack_all(plan: &Plan, laid: &Laid, w: &WeightStore) -> Result<Packs, Diagnostics> {
    let (t, l) = (&plan.text, &laid.text);
    let mut out = Packs::new();
    out.insert("text.layers".into(), pack_layers(&t.layers, w, |x| l.record(x))?);
    out.insert("text.final_norm".into(), norm_bytes(&t.final_norm, w)?);
    out.insert("text.head".into(), Packed::plain(&t.head).bytes(w)?);
    out.insert("text.embed".into(), matrix(&w.load_f32(t.embed)?, t.hidden));
    if let Some((v, l)) = plan.vision.as_ref().zip(laid.vision.as_ref()) {
        out.insert("vision.layers".into(), pack_layers(&v.layers, w, |x| l.record(x))?);
        out.insert("vision.patch".into(), l.patch.bytes(w)?);
        out.insert("vision.position".into(), position_bytes(v, w)?);
        let mut norms = Vec::new();
        for n in [&v.pre_norm, &v.post_norm].into_iter().flatten() {
            norms.extend(norm_bytes(n, w)?);
        }
        out.insert("vision.norms".into(), norms);
        for (i, p) in l.projector.iter().enumerate() {
            out.insert(format!("vision.projector.{i}"), p.bytes(w)?);
        }
    }
    Ok(out)
}

/// All layers' records, one behind the other.
fn pack_layers(
    layers: &[Layer],
    w: &WeightStore,
    offsets: impl Fn(&Layer) -> crate::codegen::LayerOffsets + Sync,
) -> Result<Vec<u8>, Diagnostics> {
    let records: Vec<Vec<u8>> = layers
        .par_iter()
        .map(|layer| {
            let o = offsets(layer);
            let mut record = norm_bytes(&layer.norm1, w)?;
            record.extend(norm_bytes(&layer.norm2, w)?);
            for (at, p) in o.projections.iter().chain([&o.o, &o.up, &o.down]) {
                assert_eq!(record.len(), *at as usize * 64, "layer record is out of step");
                record.extend(p.bytes(w)?);
            }
            Ok(record)
        })
        .collect::<Result<_, Diagnostics>>()?;
    Ok(records.concat())
}

fn norm_bytes(n: &Norm, w: &WeightStore) -> Result<Vec<u8>, Diagnostics> {
    let mut out = vector(&w.load_f32(n.w)?, words(n.cols));
    if let Some(b) = n.b {
        out.extend(vector(&w.load_f32(b)?, words(n.cols)));
    }
    Ok(out)
}

/// The position table with the class row folded into its row 0.
fn position_bytes(v: &Vision, w: &WeightStore) -> Result<Vec<u8>, Diagnostics> {
    let cols = v.patch.cols_out;
    let mut table = match v.position {
        Some(p) => w.load_f32(p)?,
        None => vec![0.0; v.rows * cols],
    };
    if let Some(class) = v.class_row {
        for (x, c) in table.iter_mut().zip(w.load_f32(class)?) {
            *x += c;
        }
        // The class row's pixels are zero, but a patch bias would still be added to it.
        if let Some(b) = v.patch.b {
            for (x, c) in table.iter_mut().zip(w.load_f32(b)?) {
                *x -= c;
            }
        }
    }
    Ok(matrix(&table, cols))
}
