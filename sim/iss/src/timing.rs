//! Cycle counts of the units: `hw/doc/timing.md` says where each constant comes from.
//!
//! Left out of the model: an LD word that gets in between the writes of a slow vector command, or one with sums of short rows; an LD
//! word that waits for a vector command which starts after the word was requested; and a scalar that
//! waits because VX writes S.

/// From a command's push into an idle unit's empty queue to its start.
pub const QUEUE_CYCLES: u64 = 2;
/// From a command's completion to the start of the unit's next one.
pub const NEXT_CYCLES: u64 = 2;
/// From a completion to the start of a command that waited for its token.
pub const TOKEN_CYCLES: u64 = 2;
/// Cycles of the dispatcher per instruction.
pub const DISPATCH_CYCLES: u64 = 2;
/// Further cycles of a scalar multiplication.
pub const MULTIPLY_CYCLES: u64 = 3;
/// Launch: cycle of the first code request.
pub const FETCH_START_CYCLES: u64 = 3;
/// From the last cycle of the code's expansion to the first instruction.
pub const FETCH_END_CYCLES: u64 = 3;
/// Launch: the scalars are loaded, one a cycle, before the first instruction: it executes in this cycle or later.
pub const SCALARS_CYCLES: u64 = 33;
/// From HALT to the end of the count.
pub const HALT_CYCLES: u64 = 2;
/// LD: from start to the first request of rows.
pub const LD_START_CYCLES: u64 = 6;
/// LD: further cycles of a weight load with several scale groups.
pub const LD_GROUPS_CYCLES: u64 = 10;
/// LD: from start to the first request of a gather, and between its rows.
pub const LD_GATHER_CYCLES: (u64, u64) = (11, 6);
/// LD: cycles a beat of scalars takes.
pub const LD_SCALARS_CYCLES: u64 = 16;
/// LD: from the last beat to completion.
pub const LD_END_CYCLES: u64 = 1;
/// LD: an empty command.
pub const LD_EMPTY_CYCLES: u64 = 5;
/// LD: from the start of a weight load to its push into the streams' queues, and on to completion.
pub const LD_PUSH_CYCLES: (u64, u64) = (6, 1);
/// Streams: from a push to the first request.
pub const STREAM_START_CYCLES: u64 = 3;
/// Streams: commands that wait behind the one that is expanded.
pub const STREAM_QUEUE: usize = 4;
/// Streams: from the expansion of a unit until its word can be seen; until its scales can.
pub const STREAM_SEEN_CYCLES: (u64, u64) = (2, 1);
/// From the pop of a word until its place in the WFIFO can be used; of a scale word in the SFIFO.
pub const FIFO_PLACE_CYCLES: (u64, u64) = (2, 1);
/// ST: from start to the first beat to main memory, and to a channel.
pub const ST_START_CYCLES: (u64, u64) = (14, 15);
/// ST: from the last response to completion.
pub const ST_END_CYCLES: u64 = 1;
/// ST: an empty command.
pub const ST_EMPTY_CYCLES: u64 = 11;
/// ST: bursts of a port that may wait for responses.
pub const ST_OUTSTANDING: usize = 16;
/// ST: from a response to the beat that waited for its place.
pub const ST_PLACE_CYCLES: u64 = 2;
/// VX: from start to the first step.
pub const VX_START_CYCLES: u64 = 2;
/// VX: further cycles when an operand's row is divided.
pub const VX_DIVIDE_CYCLES: u64 = 8;
/// VX: an empty command.
pub const VX_EMPTY_CYCLES: u64 = 1;
/// VX: from a step to its operands, selected; op1, op2 and the function come on top.
pub const VX_SELECT_CYCLES: u64 = 2;
/// VX: a table function; one that adds (GELU, SILU).
pub const VX_FUNC_CYCLES: u64 = 7;
pub const VX_BUMP_CYCLES: u64 = 12;
/// VX: a step's cycles when op2 and the function both add.
pub const VX_SLOW_CYCLES: u64 = 16;
/// VX: from the function's result to its write as int8.
pub const VX_INT8_CYCLES: u64 = 3;
/// VX: from the function's result to the write of an extremum (one word a step); squares.
pub const VX_BEST_CYCLES: u64 = 6;
pub const VX_SQUARE_CYCLES: u64 = 3;
/// VX: fewest cycles from row to row with a sum.
pub fn vx_sum_period(vx_words: u32) -> u64 {
    u64::from(2 * vx_words).max(4)
}
/// VX: from a row's last step at the accumulators to the write of its sum.
pub fn vx_sum_cycles(vx_words: u32) -> u64 {
    let words = u64::from(vx_words);
    let pick = if words == 1 { 4 } else { 3 };
    let over_words = [0, 5, 11][vx_words.ilog2() as usize];
    pick + 5 + words + 4 + over_words + 16
}
/// MM: an empty command, when nothing is in flight; one cycle later the next one can start.
pub const MM_EMPTY_CYCLES: u64 = 2;
/// MM: from start to a fault, when nothing is in flight.
pub const MM_VERDICT_CYCLES: u64 = 4;
/// MM: from start to the first issue, into an idle walk; one cycle later the next one can start.
pub const MM_START_CYCLES: u64 = 5;
/// MM: from the last issue of a command to the first of the next, and to the start of the one behind that.
pub const MM_NEXT_CYCLES: u64 = 2;
/// MM: from a word's (or scale's) arrival in the FIFO to its issue.
pub const MM_SEEN_CYCLES: u64 = 1;
/// MM: from the last issue to the first write of the last pair, less the dequantiser's cycles a row.
pub const MM_END_CYCLES: u64 = 40;
/// MM: from the issue of a tile's last word until its scale words are dropped.
pub const MM_DROP_CYCLES: u64 = 24;
/// MM: fewest issue cycles of a pair and group when a tile has several groups.
pub const MM_PAIR_GROUP_CYCLES: u64 = 8;
/// MM: from the last issue of a pair of rows to its first write: the dequantiser's steps of a row, and a stage of waiting
/// where they are four.
pub fn mm_write_cycles(pair_write_cycles: u64) -> u64 {
    let steps = pair_write_cycles.min(8) / 2;
    MM_END_CYCLES + steps + u64::from(steps == 4)
}
/// MM: from the last issue to completion.
pub fn mm_end_cycles(pair_write_cycles: u64) -> u64 {
    mm_write_cycles(pair_write_cycles) + pair_write_cycles
}
/// Beats of the longest burst.
pub const BURST_BEATS: u64 = 16;
/// Units of a page that no burst crosses.
pub const PAGE_UNITS: u64 = 64;
/// Read bursts of a port in flight.
pub const READ_OUTSTANDING: usize = 8;
