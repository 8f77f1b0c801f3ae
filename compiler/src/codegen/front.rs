//! What computes visual tokens: a vision transformer or a tower of convolutions with a projector, or a projector
//! alone.

use super::asm::{Asm, Reg};
use super::conv::{conv_layout, ConvLayout};
use super::projector::{projector_layout, ProjectorLayout};
use super::tower::{Chip, Dims};
use super::vision::{self, tower_layout, TowerLayout};
use super::{add, vision_args, Build};
use crate::diag::Diagnostic;
use crate::layout::dram::{DramMap, Kind, Space};
use crate::layout::pack::padded;
use crate::layout::words;
use crate::plan::Vision;
use flightvlm_hw::isa;

/// Where everything of the picture side lies.
#[derive(Debug, Clone)]
pub enum VisionLayout {
    /// A vision transformer.
    Tower(Box<TowerLayout>),
    /// None: the projector takes patches.
    Patches(Box<PatchesLayout>),
    /// A tower of convolutions.
    Conv(Box<ConvLayout>),
}

/// A projector that takes patches.
#[derive(Debug, Clone)]
pub struct PatchesLayout {
    projector: ProjectorLayout,
    pixel_words: u32,
    pixels_base: u32,
    features_base: u32,
}

/// Lays the picture side out. Where visual tokens go is set later by [`VisionLayout::set_features`].
pub fn vision_layout(v: &Vision, build: &Build, dram: &mut DramMap) -> Result<VisionLayout, Diagnostic> {
    if let Some(patch) = &v.patch {
        return Ok(VisionLayout::Tower(Box::new(tower_layout(v, patch, build, dram, None)?)));
    }
    if let Some(conv) = &v.conv {
        return Ok(VisionLayout::Conv(Box::new(conv_layout(v, conv, build, dram)?)));
    }
    let (pixel_words, rows) = (words(v.pixel_cols), Dims::of_rows(v.pixel_cols as u32, build));
    let projector = projector_layout(v, &rows, &padded(v.pixel_cols), build, dram)?;
    let units = pixel_words.into();
    let pixels_base = add(dram, Space::Main, "vision.pixels", Kind::Input, v.rows, units)?;
    let layout = PatchesLayout { projector, pixel_words, pixels_base, features_base: 0 };
    Ok(VisionLayout::Patches(Box::new(layout)))
}

/// Lays the tower for frames of videos out, beside that for pictures.
pub fn video_layout(
    v: &Vision,
    pictures: &VisionLayout,
    build: &Build,
    dram: &mut DramMap,
) -> Result<VisionLayout, Diagnostic> {
    let (patch, tower) =
        v.patch.as_ref().zip(pictures.tower()).expect("invariant: both are towers of a kind");
    let build = &Build { read_outs: 0, grouped: false, ..build.clone() };
    Ok(VisionLayout::Tower(Box::new(tower_layout(v, patch, build, dram, Some(tower))?)))
}

impl VisionLayout {
    /// The transformer, if there is one.
    pub fn tower(&self) -> Option<&TowerLayout> {
        match self {
            VisionLayout::Tower(tower) => Some(tower),
            VisionLayout::Patches(_) | VisionLayout::Conv(_) => None,
        }
    }

    /// The projector.
    pub fn projector(&self) -> &ProjectorLayout {
        match self {
            VisionLayout::Tower(tower) => &tower.projector,
            VisionLayout::Patches(patches) => &patches.projector,
            VisionLayout::Conv(conv) => &conv.projector,
        }
    }

    /// Words of a pixel row.
    pub fn pixel_words(&self) -> u32 {
        match self {
            VisionLayout::Tower(tower) => tower.pixel_words,
            VisionLayout::Patches(patches) => patches.pixel_words,
            VisionLayout::Conv(conv) => conv.pixel_words,
        }
    }

    /// Sizes and on-chip regions of the largest part.
    pub fn chip(&self) -> (&Dims, &Chip) {
        match self {
            VisionLayout::Tower(tower) => (&tower.dims, &tower.chip),
            VisionLayout::Patches(patches) => (&patches.projector.chain.dims, &patches.projector.chain.chip),
            VisionLayout::Conv(conv) => conv.chip(),
        }
    }

    /// First unit of the visual tokens of slot 0.
    pub fn set_features(&mut self, base: u32) {
        match self {
            VisionLayout::Tower(tower) => tower.features_base = base,
            VisionLayout::Patches(patches) => patches.features_base = base,
            VisionLayout::Conv(conv) => conv.features_base = base,
        }
    }
}

/// The entry point of groups of the tower's rows, where it has one; gives its pc.
pub(super) fn emit_groups(asm: &mut Asm, v: &Vision, l: &VisionLayout) -> Option<u32> {
    let tower = l.tower().filter(|tower| tower.projector.chain.groups.is_some())?;
    let entry = asm.insns.len() as u32;
    tower.choose(asm);
    tower.project(asm, v);
    asm.emit(isa::Halt {});
    Some(entry)
}

/// The entry points, launched one after the other; gives their pcs.
pub(super) fn emit(asm: &mut Asm, v: &Vision, l: &VisionLayout) -> Vec<u32> {
    let entry = asm.insns.len() as u32;
    match l {
        VisionLayout::Tower(tower) => {
            vision::emit(asm, v, tower);
            if let Some((l, c)) = tower.compress.as_deref().zip(v.compress.as_deref()) {
                let queries = asm.insns.len() as u32;
                l.emit_queries(asm, c);
                asm.emit(isa::Halt {});
                let windows = asm.insns.len() as u32;
                l.emit_windows(asm, c);
                tower.project(asm, v);
                asm.emit(isa::Halt {});
                return vec![entry, queries, windows];
            }
        }
        VisionLayout::Patches(patches) => {
            let reg = |arg: usize| Reg(arg as u32);
            let args = (reg(vision_args::FIRST_TOKEN), reg(vision_args::TOKENS));
            asm.mark("patches: start");
            patches.projector.emit(asm, v, patches.pixels_base, patches.features_base, args);
            asm.emit(isa::Halt {});
        }
        VisionLayout::Conv(conv) => {
            let tower = v.conv.as_ref().expect("invariant: the layout is of this tower");
            return conv.emit(asm, v, tower);
        }
    }
    vec![entry]
}
