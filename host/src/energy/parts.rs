//! How much of the FPGA each part of the design takes, and what it costs at full toggle rate.
//!
//! Energy of a site per clock: xbtest 6.0, power compute unit, "only valid for Virtex UltraScale+
//! Alveo", a power virus at 500 MHz (AMD/Xilinx, datasheet grade): slice 1.39158 mW, DSP48E2
//! 10.96698 mW, BRAM36 48.27586 mW, URAM288 63.94737 mW.

use flightvlm_hw::config::HwConfig;

/// Joules per clock of one site at the virus' toggle rate.
const SLICE_J: f64 = 1.39158e-3 / 500e6;
const DSP_J: f64 = 10.96698e-3 / 500e6;
const BRAM_J: f64 = 48.27586e-3 / 500e6;
const URAM_J: f64 = 63.94737e-3 / 500e6;

/// LUTs of a slice of the array with its stream and expander, of a vector word, and of the rest. An
/// estimate: the three add up, for `u280`, to 75 % of an XCU280, the most that a design may take and
/// still be routed; the synthesis estimate (`hw/synth`) is above that and has to come down.
const LUTS: (f64, f64, f64) = (24e3, 40e3, 50e3);
/// Block RAMs of a slice and of the rest, likewise.
const BRAMS: (f64, f64) = (44.0, 104.0);
/// DSPs of a vector lane and of a slice's dequantisers: products of 24-bit mantissas, two each.
const FLOAT_DSPS: f64 = 2.0;

/// Which counter says how busy a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Multiply-accumulates against the array's peak.
    Array,
    /// Bytes of the channels against their peak.
    Channels,
    /// Cycles of the vector unit.
    Vector,
    /// The busier of matrix and vector unit.
    Memories,
    /// Always on.
    Control,
}

/// A part of the design.
#[derive(Clone, Debug)]
pub struct Part {
    /// Name for people.
    pub name: &'static str,
    /// What drives it.
    pub driven_by: Use,
    /// Watts at the virus' toggle rate and this design's clocks.
    pub virus_w: f64,
}

/// All parts of a configuration.
#[derive(Clone, Debug)]
pub struct Parts(pub Vec<Part>);

impl Parts {
    /// The parts of a build.
    pub fn of(c: &HwConfig) -> Parts {
        let (slices, words, hz) = (f64::from(c.slices), f64::from(c.vx_words), f64::from(c.clock_mhz) * 1e6);
        let fabric = |luts: f64| luts / 8.0 * SLICE_J * hz;
        // Replicas for the readers: four of SPAD, three of ABUF (hw/rtl/mem); 72 bits × 4096 each.
        let urams = |entries: u32, bits: f64, copies: f64| {
            (f64::from(entries) / 4096.0).ceil().max(1.0) * (bits / 72.0).ceil() * copies
        };
        let urams = urams(c.spad_words, 512.0, 4.0) + urams(c.abuf_words, 128.0, 3.0);
        let brams = slices * BRAMS.0 + BRAMS.1;
        let part = |name, driven_by, virus_w| Part { name, driven_by, virus_w };
        Parts(vec![
            // The array's DSPs run at twice the clock.
            part(
                "matrix array",
                Use::Array,
                slices * 128.0 * DSP_J * 2.0 * hz + fabric(slices * LUTS.0 / 2.0),
            ),
            part("weight streams", Use::Channels, fabric(slices * LUTS.0 / 2.0)),
            part(
                "vector unit",
                Use::Vector,
                fabric(words * LUTS.1) + (words + slices) * 16.0 * FLOAT_DSPS * DSP_J * hz,
            ),
            part("on-chip memories", Use::Memories, (brams * BRAM_J + urams * URAM_J) * hz),
            part("control", Use::Control, fabric(LUTS.2)),
        ])
    }
}
