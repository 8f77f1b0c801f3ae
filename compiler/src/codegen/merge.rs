//! Averages of groups of rows in memory, in front of the projector: how visual tokens are dropped and merged.
//!
//! Groups of several tokens are chosen and written by the host, from what the tower has left in memory, and so are all
//! tokens of a picture that keeps them; where tokens are dropped, the machine has written those that stay ([`super::choice`]).
//! A launch takes as many groups as a tile of the projector has rows. A group's members come in rounds: in round m, one gather brings the m-th member of every
//! group, and VX adds it with the weight that the group gives it. A group with fewer members gives any row the weight 0;
//! the host puts groups of about one size into a launch. A token that is dropped costs nothing behind the tower, and one
//! that stays alone is its group's only member, of weight 1.

use super::add;
use super::asm::{vx, Asm, At, Count, Reg, LD, VX};
use super::group_args;
use super::layer::{Tower, A_TEMP};
use super::tower::{regs, Dims};
use crate::diag::Diagnostic;
use crate::layout::dram::{DramMap, Kind, Space};
use crate::layout::onchip::Request;
use flightvlm_hw::isa::{self, names::*};

/// Name of the region that groups are written to: for each round the member of each group (u32, a row behind those that
/// the projector skips), then its weight (f32) in each group, each a tile of the projector.
pub const GROUPS_REGION: &str = "vision.groups";

/// Rounds of the launch: an argument.
const MEMBERS: Reg = Reg(group_args::MEMBERS as u32);
/// Units in front of the launch's first round: an argument.
const FIRST_ROUND: Reg = Reg(group_args::FIRST_ROUND as u32);
/// Generators: the round's units in memory, the half's members and weights in S.
const ROUND: u32 = A_TEMP;
const MEMBER: u32 = A_TEMP + 1;
const WEIGHT: u32 = A_TEMP + 2;
/// Loop level of the rounds.
const ROUNDS_LEVEL: u32 = super::layer::HALF_LEVEL + 1;

/// Where groups lie.
#[derive(Debug, Clone)]
pub struct GroupsLayout {
    pub(super) base: u32,
    /// Groups of a launch at most.
    pub rows: u32,
}

impl GroupsLayout {
    /// Room for groups of as many members as a tile has tokens.
    pub(super) fn new(tokens: usize, d: &Dims, dram: &mut DramMap) -> Result<GroupsLayout, Diagnostic> {
        let mut layout = GroupsLayout { base: 0, rows: d.tile_rows };
        let units = layout.round_units().into();
        layout.base = add(dram, Space::Main, GROUPS_REGION, Kind::Input, tokens, units)?;
        Ok(layout)
    }

    /// Units of a round.
    pub fn round_units(&self) -> u32 {
        group_args::round_units(self.rows as usize) as u32
    }

    /// Scalars of a round: members and weights of a tile.
    pub(super) fn scalars(d: &Dims) -> Vec<Request> {
        let r = |name, words| Request { name, words, from: 0, to: 9 };
        // One load brings both.
        vec![r("group_round", 2 * d.tile_rows)]
    }

    /// The half's averages of the rows from unit `rows` on, to `x`, by VX.
    pub(super) fn average(&self, asm: &mut Asm, t: &Tower<'_>, rows: u32) {
        use regs::*;
        let (d, x, member) = (t.d, t.spad("x"), t.spad("member"));
        let round = t.s("group_round").off;
        asm.base(ROUND, FIRST_ROUND, self.base);
        asm.stride(ROUND, ROUNDS_LEVEL, Reg(0), self.round_units());
        // A launch has one tile: the half's first row is its place among the groups.
        asm.base(MEMBER, POS, round);
        asm.base(WEIGHT, POS, round + self.rows);
        let zero = vx(ROWS, d.dw * 16).a(x, d.dw).imm(OP_MUL, 0.0);
        zero.to_spad(x, d.dw).sync(asm, 0, LD);
        asm.repeat(MEMBERS, |asm| {
            let scalars = isa::Ld {
                mode: LD_SCALARS,
                rows: Count::from(1).field(),
                len: Count::from(self.round_units()).field(),
                dst_off: round,
                src_agu: ROUND,
                ..isa::Ld::default()
            };
            asm.sync(scalars, VX, 0);
            let gather = isa::Ld {
                mode: LD_GATHER,
                rows: Count::from(ROWS).field(),
                len: Count::from(d.dw).field(),
                dst_agu: member.agu,
                dst_off: member.off,
                dst_stride: d.dw,
                src_off: rows,
                src_stride: d.dw,
                sidx_agu: MEMBER,
                ..isa::Ld::default()
            };
            asm.sync(gather, 0, VX);
            let weighted = vx(ROWS, d.dw * 16).a(member, d.dw).s(OP_MUL, At { agu: WEIGHT, off: 0 });
            weighted.spad(OP_ADD, x, d.dw, ROW).to_spad(x, d.dw).sync(asm, LD, LD);
        });
        asm.ld_sync(VX, 0);
    }
}
