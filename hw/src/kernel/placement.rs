//! Which super logic region (die) each part of a kernel of 32 slices is kept in, and what that fills.
//!
//! The HBM is beside SLR0, so transfers are there. A slice is whole: weight stream, array and dequantiser lie in one
//! die, in groups of four that share the registers of their inputs. The vector unit takes the room of four slices in
//! SLR1. UltraRAM decides the rest: copies of the scratchpad lie beside their readers where there is room.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A die's number, 0 to 2.
pub type Slr = usize;

/// The estimate that [`table`] adds up, written by `hw/synth/run u280`.
const UNITS: &str = include_str!("../../synth/u280.md");

/// Slices that a kernel placed here has.
pub const SLICES: usize = 32;
/// Slices that share the registers of their inputs (`FeedSlices` of `mpe_array`).
const FEED_SLICES: usize = 4;
/// Groups of slices in each die.
const FEEDS: [usize; 3] = [3, 2, 3];
/// Banks of the scratchpad, and readers that have a copy each: three of the vector unit, then ST.
const SPAD: (usize, usize) = (4, 4);
/// Banks of the activation buffer.
const ABUF_BANKS: usize = 8;

/// What a tool may use of each die beside the shell, as Vivado reports it for the U280's platform (`src/finn/util/platforms.py` of
/// AMD's FINN, "observed from Vivado"): LUT, FF, block RAM of 36 Kb, UltraRAM, DSP.
pub const AVAILABLE: [[f64; 5]; 3] = [
    [400_800.0, 801_600.0, 600.0, 320.0, 2736.0],
    [382_080.0, 764_160.0, 576.0, 320.0, 2880.0],
    [380_640.0, 761_280.0, 576.0, 320.0, 2880.0],
];

/// The share of a die that may be filled, in the order of [`AVAILABLE`].
pub const MOST: [f64; 5] = [0.90, 0.75, 0.90, 0.92, 0.75];

/// An instance of the kernel with all that is below it.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// End of its hierarchical name.
    pub instance: String,
    /// Its die.
    pub slr: Slr,
    /// Units of the estimate in it: name without parameters, how many (a quarter of a RAM: one of its four copies).
    units: Vec<(&'static str, f64)>,
}

/// The die of a group of slices.
fn die_of_feed(feed: usize) -> Slr {
    match feed {
        f if f < FEEDS[0] => 0,
        f if f < FEEDS[0] + FEEDS[1] => 1,
        _ => 2,
    }
}

/// The die of a reader's copy of a bank of the scratchpad. ST is in SLR0, and so is what SLR1 and SLR2 have no room for.
fn die_of_copy(bank: usize, reader: usize) -> Slr {
    match (reader, bank) {
        (3, _) | (2, 0) => 0,
        (0, _) | (1, 0..=2) => 1,
        _ => 2,
    }
}

/// Every instance that is kept in a die. The tool places what is in none: the units' glue.
pub fn placement() -> Vec<Place> {
    let mut out = Vec::new();
    let mut put = |slr, instance: String, units: &[(&'static str, f64)]| {
        out.push(Place { instance, slr, units: units.to_vec() });
    };
    for (instance, unit) in [
        ("u_csr", "csr"),
        ("u_launch", "launch"),
        ("u_fetch", "fetch"),
        ("u_dispatch", "dispatch"),
        ("u_queues", "queues"),
        ("u_fault", "fault"),
        ("u_counters", "counters"),
        ("u_ld", "ld_unit"),
        ("u_core/u_read", "axi_read_engine"),
        ("u_core/u_write", "axi_write_engine"),
    ] {
        put(0, instance.into(), &[(unit, 1.0)]);
    }
    put(0, "u_st".into(), &[("st_unit", 1.0), ("st_setup", 1.0)]);
    for s in 0..SLICES {
        let (feed, die) = (s / FEED_SLICES, die_of_feed(s / FEED_SLICES));
        let stream =
            ["weight_stream", "axi_read_engine", "run_walker", "expander", "weight_fifo", "scale_fifo"];
        put(die, format!("gen_slice[{s}].u_stream"), &stream.map(|unit| (unit, 1.0)));
        // Writers of keys and values stay beside ST: only their ports' side is wide.
        put(0, format!("gen_slice[{s}].u_write"), &[("axi_single_write", 1.0)]);
        let array = [("mpe_slice", 1.0), ("mpe_chain", 16.0), ("mpe_weights", 16.0)];
        put(die, format!("u_mpe/g_feed[{feed}].g_slice[{s}].u_slice"), &array);
        let lanes = [("mm_dequant_slice", 1.0), ("mm_lane", 4.0)];
        put(die, format!("u_dequant/g_slice[{s}].u_slice"), &lanes);
        if s % FEED_SLICES == 0 {
            put(die, format!("u_mpe/g_feed[{feed}].u_feed"), &[("mpe_feed", 1.0)]);
        }
    }
    let vector = [
        ("vx_unit", 1.0),
        ("vx_word", 4.0),
        ("vx_lane", 64.0),
        ("vx_red_lane", 64.0),
        ("vx_add_word", 3.0),
        ("vx_gather_sum", 1.0),
        ("vx_reduce", 1.0),
        ("vx_divide", 1.0),
        ("vx_check", 1.0),
        ("sfu_rom", 32.0),
    ];
    put(1, "u_compute/u_vx".into(), &vector);
    for bank in 0..SPAD.0 {
        for reader in 0..SPAD.1 {
            let instance = format!("u_spad/gen_bank[{bank}].u_bank/gen_replica[{reader}].u_ram");
            put(die_of_copy(bank, reader), instance, &[("shared_ram-Depth16384-Readers4", 0.25)]);
        }
    }
    for bank in 0..ABUF_BANKS {
        let unit = [("shared_ram-Depth8192-Readers3", 1.0)];
        put(if bank < 3 { 0 } else { 2 }, format!("u_abuf/gen_bank[{bank}].u_bank"), &unit);
    }
    put(1, "u_compute/u_s".into(), &[("shared_ram-Depth16384-Readers6", 1.0)]);
    out
}

/// Resources of a unit, and how often the design has it.
type Unit = (f64, [f64; 5]);

/// The units' table of the estimate, by name with parameters.
fn estimate() -> BTreeMap<&'static str, Unit> {
    let (_, units) = UNITS.split_once("## Units").expect("invariant: hw/synth/report.py writes the heading");
    let (units, _) = units.split_once("## ").expect("invariant: a heading follows");
    let rows = units.lines().filter(|line| line.starts_with("| ")).skip(1);
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let number =
            |at: usize| cells[at].replace(',', "").parse().expect("invariant: a number in the table");
        // Behind the name: times, LUT, two other counts of LUTs, FF, BRAM, URAM, DSP.
        (cells[0], (number(1), [2, 5, 6, 7, 8].map(number)))
    })
    .collect()
}

/// What the dies hold, then what is in none of them.
#[derive(Debug, PartialEq)]
pub struct Filled {
    /// LUT, FF, BRAM, URAM, DSP of each die.
    pub dies: [[f64; 5]; 3],
    /// Of what the tool places where it likes.
    pub free: [f64; 5],
}

/// Adds the estimate up. Every instance of every unit is counted once, in a die or as free.
///
/// # Panics
/// If the placement has more instances of a unit than the design.
pub fn filled() -> Filled {
    let estimate = estimate();
    let mut left: BTreeMap<&str, f64> = estimate.iter().map(|(name, unit)| (*name, unit.0)).collect();
    let mut dies = [[0.0; 5]; 3];
    for place in placement() {
        for (unit, count) in place.units {
            let named = |name: &&&str| **name == unit || name.starts_with(&format!("{unit}-"));
            let (name, (_, each)) = estimate
                .iter()
                .find(|(name, _)| named(name))
                .unwrap_or_else(|| panic!("invariant: {unit} is a unit of the estimate"));
            *left.get_mut(name).expect("invariant: the same keys") -= count;
            for (sum, amount) in dies[place.slr].iter_mut().zip(each) {
                *sum += count * amount;
            }
        }
    }
    let mut free = [0.0; 5];
    for (name, count) in left {
        assert!(count >= 0.0, "the placement has too many of {name}");
        for (sum, amount) in free.iter_mut().zip(estimate[name].1) {
            *sum += count * amount;
        }
    }
    Filled { dies, free }
}

/// `synth/u280-dies.md`.
pub fn table() -> String {
    let Filled { dies, free } = filled();
    let mut o = format!("<!-- {} -->\n", crate::codegen::HEADER);
    o += "# The three dies of the `u280` kernel\n\n\
          The units of [u280.md](u280.md) (Yosys estimate), added up by the placement that `floorplan.tcl` asks for\n\
          (`hw/src/kernel/placement.rs`), beside what the card's shell leaves of each die (\"observed from Vivado\" in\n\
          `src/finn/util/platforms.py` of Xilinx/finn). **No place and route was run**: whether the router finds ways\n\
          between the dies at 225 MHz is not known, and the kernel's own wires between them have no registers of their own.\n\n\
          | | slices | LUT | FF | BRAM | URAM | DSP |\n|---|---|---|---|---|---|---|\n";
    let row = |o: &mut String, name: &str, slices: String, used: &[f64; 5], of: Option<&[f64; 5]>| {
        let _ = write!(o, "| {name} | {slices} |");
        for (at, amount) in used.iter().enumerate() {
            let _ = match of {
                Some(of) => write!(o, " {amount:.0} ({:.0} %) |", 100.0 * amount / of[at]),
                None => write!(o, " {amount:.0} |"),
            };
        }
        o.push('\n');
    };
    let sum =
        |rows: &[[f64; 5]]| -> [f64; 5] { std::array::from_fn(|at| rows.iter().map(|row| row[at]).sum()) };
    for (die, used) in dies.iter().enumerate() {
        let slices = (FEEDS[die] * FEED_SLICES).to_string();
        row(&mut o, &format!("SLR{die}"), slices, used, Some(&AVAILABLE[die]));
    }
    row(&mut o, "placed by the tool", String::new(), &free, None);
    let total = sum(&[sum(&dies), free]);
    row(&mut o, "all, of what the shell leaves", SLICES.to_string(), &total, Some(&sum(&AVAILABLE)));
    let most: Vec<String> = MOST.iter().map(|share| format!("{:.0} %", 100.0 * share)).collect();
    let _ = writeln!(o, "| at most, of a die (tested) | | {} |", most.join(" | "));
    // A read channel: data, response, last, valid, ready; address, length, valid, ready.
    let port_wires = 512 + 2 + 1 + 2 + 64 + 8 + 2;
    let beyond = |die: Slr| FEEDS[die + 1..].iter().sum::<usize>() * FEED_SLICES;
    let _ = writeln!(
        o,
        "\nAll HBM ports are in SLR0. Of the weight streams' read ports, {} cross from SLR0 to SLR1 and {} from SLR1 to SLR2: \
         {} and {} wires.\nActivations for the array, results and the scratchpad's words cross besides.",
        beyond(0),
        beyond(1),
        beyond(0) * port_wires,
        beyond(1) * port_wires
    );
    o
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_die_has_room() {
        let Filled { dies, free } = filled();
        for (die, used) in dies.iter().enumerate() {
            for (at, most) in MOST.iter().enumerate() {
                let share = used[at] / AVAILABLE[die][at];
                assert!(share <= *most, "SLR{die}, resource {at}: {share:.3} of at most {most}");
            }
        }
        // What is free of a die is only glue, which fits in what the dies have left.
        for at in 0..5 {
            let room: f64 = (0..3).map(|die| AVAILABLE[die][at] - dies[die][at]).sum();
            assert!(free[at] <= 0.25 * room, "resource {at}: {} in {room}", free[at]);
        }
    }

    #[test]
    fn the_sums_are_the_estimates_totals() {
        let Filled { dies, free } = filled();
        let of_all = estimate().values().fold([0.0; 5], |sum: [f64; 5], (times, each)| {
            std::array::from_fn(|at| sum[at] + times * each[at])
        });
        for at in 0..5 {
            let sum = free[at] + dies.iter().map(|die| die[at]).sum::<f64>();
            assert!((sum - of_all[at]).abs() < 1.0, "resource {at}: {sum} of {}", of_all[at]);
        }
    }

    #[test]
    fn an_instance_is_in_one_die() {
        let mut names: Vec<String> = placement().into_iter().map(|place| place.instance).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
