//! Towers of convolutions: passes over square maps, whose rows are pixels, from memory to memory.

use super::{Attention, Linear, Norm};
use crate::graph::{ActKind, WeightId};

/// A map in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Map {
    /// Pixels of a side.
    pub side: usize,
    /// Channels.
    pub channels: usize,
    /// Channels `i`, `i + groups`, ... of a pixel lie together, each group in words of its own: what a depthwise
    /// convolution leaves that makes several outputs of a channel.
    pub groups: usize,
    /// Which of several maps of this shape.
    pub copy: usize,
}

impl Map {
    /// Columns in memory order, every group padded to whole words.
    pub fn columns(&self) -> Vec<Option<u32>> {
        let mut out = Vec::new();
        for group in 0..self.groups {
            out.extend((group..self.channels).step_by(self.groups).map(|c| Some(c as u32)));
            out.resize(out.len().next_multiple_of(16), None);
        }
        out
    }

    /// Words of a pixel.
    pub fn words(&self) -> u32 {
        (self.columns().len() / 16) as u32
    }
}

/// A depthwise convolution.
#[derive(Debug, Clone, PartialEq)]
pub struct Depthwise {
    /// Module path.
    pub path: String,
    /// `[outputs, kernel^2]`.
    pub w: WeightId,
    /// `[outputs]`.
    pub b: WeightId,
    /// Pixels of a side of the kernel.
    pub kernel: usize,
    /// Pixels from one output to the next.
    pub stride: usize,
    /// Behind it.
    pub act: Option<ActKind>,
}

/// Squeeze and excitation, with an activation behind it.
#[derive(Debug, Clone, PartialEq)]
pub struct Excite {
    /// Module path.
    pub path: String,
    /// The two linear layers.
    pub linears: [Linear; 2],
    /// Behind it.
    pub act: Option<ActKind>,
}

/// What a pass computes.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// A depthwise convolution.
    Depthwise(Depthwise),
    /// Linear layers over each pixel, with an optional activation behind each; to the result a map is added, if one is
    /// named.
    Chain(Vec<(Linear, Option<ActKind>)>, Option<Map>),
    /// Attention of all pixels behind a norm, added to them.
    Attend(Box<(Norm, Attention)>),
    /// In place.
    Excite(Excite),
}

/// A pass over a map.
#[derive(Debug, Clone, PartialEq)]
pub struct Pass {
    /// What is read; `None`: the receptive fields of the picture.
    pub from: Option<Map>,
    /// What is written.
    pub to: Map,
    /// What is computed.
    pub step: Step,
}

/// Blocks of one shape, which the program loops over.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// The passes of each.
    pub blocks: Vec<Vec<Pass>>,
}

/// A tower of convolutions.
#[derive(Debug, Clone, PartialEq)]
pub struct ConvTower {
    /// In order.
    pub groups: Vec<Group>,
    /// The map whose pixels are the visual tokens.
    pub last: Map,
}

impl Pass {
    /// Without names and weights: what must be equal for blocks to be a loop.
    fn shape(&self) -> String {
        let step = match &self.step {
            Step::Depthwise(d) => format!("depthwise {} {} {:?}", d.kernel, d.stride, d.act),
            Step::Chain(linears, add) => {
                let of =
                    |(l, act): &(Linear, Option<ActKind>)| format!("{}x{}{act:?}", l.cols_out, l.cols_in);
                format!("chain {:?} {add:?}", linears.iter().map(of).collect::<Vec<_>>())
            }
            Step::Attend(_) => "attend".into(),
            Step::Excite(e) => format!("excite {}", e.linears[0].cols_out),
        };
        format!("{:?} {:?} {step}", self.from, self.to)
    }
}

/// Puts equal neighbours among blocks into groups.
pub(super) fn grouped(blocks: Vec<Vec<Pass>>) -> Vec<Group> {
    let shape = |block: &[Pass]| block.iter().map(Pass::shape).collect::<Vec<_>>();
    let mut groups: Vec<Group> = Vec::new();
    for block in blocks {
        match groups.last_mut().filter(|group| shape(&group.blocks[0]) == shape(&block)) {
            Some(group) => group.blocks.push(block),
            None => groups.push(Group { blocks: vec![block] }),
        }
    }
    groups
}

impl std::fmt::Display for ConvTower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for group in &self.groups {
            writeln!(f, "  loop {} blocks", group.blocks.len())?;
            for pass in &group.blocks[0] {
                let what = match &pass.step {
                    Step::Depthwise(d) => {
                        let act = d.act.map_or("", ActKind::name);
                        format!("depthwise {0}x{0} stride {1} {act} {2}", d.kernel, d.stride, d.path)
                    }
                    Step::Chain(linears, add) => {
                        let names: Vec<&str> = linears.iter().map(|(l, _)| l.path.as_str()).collect();
                        format!(
                            "linear {}{}",
                            names.join(", "),
                            if add.is_some() { " +residual" } else { "" }
                        )
                    }
                    Step::Attend(a) => format!("norm+attention+residual heads {} {}", a.1.heads, a.1.path),
                    Step::Excite(e) => format!("squeeze+excite {}", e.path),
                };
                let Map { side, channels, .. } = pass.to;
                writeln!(f, "    {what} -> {side} x {side} x {channels}")?;
            }
        }
        Ok(())
    }
}
