//! Programs with the matrix work of a language model: every matrix of every layer as a weight load
//! and a matrix command, nothing else.

use flightvlm_hw::config::{HwConfig, UNIT_BYTES};
use flightvlm_hw::isa::{self, imm_count, names::*, store_code, Insn, Op, Word};
use flightvlm_hw::machine::{Bank, Launch, Machine};

/// Shape of a model's decoder.
pub struct Shape {
    pub layers: u32,
    pub hidden: u32,
    pub key_values: u32,
    pub inner: u32,
    pub vocabulary: u32,
}

/// SmolLM2-135M.
pub const SMALL: Shape = Shape { layers: 30, hidden: 576, key_values: 192, inner: 1536, vocabulary: 49152 };
/// Llama-2-7B.
pub const LARGE: Shape =
    Shape { layers: 32, hidden: 4096, key_values: 4096, inner: 11008, vocabulary: 32000 };

/// A program and what it works through.
pub struct Work {
    pub launch: Launch,
    pub weight_bytes: u64,
    pub macs: u64,
}

const CODE_UNIT: u32 = 1;
/// Tiles of one command at most.
const MAX_TILES: u32 = 2048;

/// Loads a machine with a step over `rows` rows; weights have `bits` (8 or 4) and a scale for each
/// 128 inputs. Contents are zero but for a pattern in the activations' scales: times of the CPU do
/// not depend on them.
pub fn step(machine: &mut dyn Machine, c: &HwConfig, shape: &Shape, bits: u32, rows: u32) -> Work {
    let mut code: Vec<Insn> = Vec::new();
    let (mut unit, mut weight_bytes, mut macs) = (0u32, 0u64, 0u64);
    let mut matrix = |outputs: u32, inputs: u32, unit: &mut u32, code: &mut Vec<Insn>| {
        // Inputs that exceed the FIFO are taken in parts.
        let parts = (inputs / 16).div_ceil(c.wfifo_words);
        let kb = inputs / 16 / parts;
        let (fmt, word) = if bits == 8 { (FMT_W8K, 4) } else { (FMT_W4K, 2) };
        let tile_units = kb * word + kb.div_ceil(8);
        for _ in 0..parts {
            for first in (0..outputs / 16).step_by(MAX_TILES as usize) {
                let tiles = (outputs / 16 - first).min(MAX_TILES);
                let ld = isa::Ld {
                    mode: LD_WEIGHT,
                    rows: imm_count(tiles),
                    len: imm_count(kb),
                    src_off: *unit,
                    src_stride: tile_units,
                    kbg: 8,
                    wscale: 1,
                    fmt,
                    ..isa::Ld::default()
                };
                let mm = isa::Mm {
                    rows: imm_count(rows),
                    tiles: imm_count(tiles),
                    kb: imm_count(kb),
                    kbg: 8,
                    act_stride: imm_count(kb),
                    out_stride: imm_count(tiles),
                    wscale: 1,
                    ..isa::Mm::default()
                };
                code.extend([Insn::from(Op::from(ld)), Insn::from(Op::from(mm))]);
                *unit += tiles.div_ceil(c.slices) * tile_units;
                weight_bytes += u64::from(tiles * tile_units) * UNIT_BYTES as u64;
                macs += u64::from(tiles * kb * rows) * 256;
            }
        }
    };
    for _ in 0..shape.layers {
        matrix(shape.hidden + 2 * shape.key_values, shape.hidden, &mut unit, &mut code);
        matrix(shape.hidden, shape.hidden, &mut unit, &mut code);
        matrix(2 * shape.inner, shape.hidden, &mut unit, &mut code);
        matrix(shape.hidden, shape.inner, &mut unit, &mut code);
    }
    if rows == 1 {
        matrix(shape.vocabulary, shape.hidden, &mut unit, &mut code);
    }
    code.push(Insn::from(Op::from(isa::Halt {})));
    let launch = load(machine, &code, unit);
    // Pages that were never written are all the same one: give the weights pages of their own.
    let pattern: Vec<u8> = (0..1 << 16).map(|i| (i * 31 % 251) as u8).collect();
    for channel in 0..c.slices {
        for at in (0..u64::from(unit) * UNIT_BYTES as u64).step_by(pattern.len()) {
            let len = pattern.len().min((u64::from(unit) * UNIT_BYTES as u64 - at) as usize);
            machine.write(Bank::Channel(channel), at, &pattern[..len]).expect("the channel takes weights");
        }
    }
    Work { launch, weight_bytes, macs }
}

/// Loads a program that uses only on-chip memories.
pub fn program(machine: &mut dyn Machine, text: &str) -> Launch {
    load(machine, &isa::assemble(text).expect("the program is an assembly text"), 0)
}

fn load(machine: &mut dyn Machine, code: &[Insn], channel_units: u32) -> Launch {
    let words: Vec<Word> = code.iter().map(Insn::encode).collect();
    let bytes = store_code(&words);
    let code_units = bytes.len().div_ceil(UNIT_BYTES) as u32;
    machine.resize(CODE_UNIT + code_units, channel_units).expect("memory can be reserved");
    machine.write(Bank::Main, u64::from(CODE_UNIT) * 64, &bytes).expect("main memory takes the code");
    Launch {
        code_base_units: CODE_UNIT,
        code_units,
        code_len: words.len() as u32,
        entry: 0,
        args: [0; 16],
        watchdog_cycles: 65536,
    }
}
