//! Stores and weight tiles as `hw/doc/microarchitecture.md` (sections 4 and 3.1) says, written for
//! reading, with code of its own.

use flightvlm_hw::machine::OnChip;

/// Fields of a store.
#[derive(Debug, Clone, Default)]
pub struct Store {
    pub mode: &'static str,
    pub rows: usize,
    pub len: usize,
    pub src: usize,
    pub src_stride: usize,
    pub dst: usize,
    pub dst_stride: usize,
    pub chunk_stride: usize,
    pub pos: usize,
    pub first: usize,
    pub heads: usize,
    pub head_stride: usize,
    pub head_step: usize,
}

impl Store {
    pub fn text(&self) -> String {
        format!(
            "st mode={} rows={} len={} src_off={} src_stride={} dst_off={} dst_stride={} chunk_stride={} pos={} \
             first={} heads={} head_stride={} head_step={}\n",
            self.mode,
            self.rows,
            self.len,
            self.src,
            self.src_stride,
            self.dst,
            self.dst_stride,
            self.chunk_stride,
            self.pos,
            self.first,
            self.heads,
            self.head_stride,
            self.head_step
        )
    }

    /// Carries it out. `channels` are the memories of all slices.
    pub fn apply(&self, chip: &OnChip, main: &mut [u8], channels: &mut [Vec<u8>]) {
        let slices = channels.len();
        let scalar = matches!(self.mode, "scalar" | "kv_scale");
        let (heads, len) =
            (if self.mode == "rows" { 1 } else { self.heads }, if scalar { 1 } else { self.len });
        for h in 0..heads {
            for r in 0..self.rows {
                for c in 0..len {
                    let p = self.pos + r;
                    let (block, q) = (p >> 4, p & 15);
                    let src = self.src + h * self.head_stride + r * self.src_stride + c;
                    let x: Vec<i8> = chip.abuf.iter().skip(16 * src).take(16).copied().collect();
                    // Slot and unit of each mode.
                    let k_slot = self.first + h * self.head_step + block;
                    let v_slot = self.first + h * self.head_step + c;
                    let k_unit =
                        |slot: usize| self.dst + slot / slices * self.dst_stride + c * self.chunk_stride;
                    let v_unit = self.dst + v_slot / slices * self.chunk_stride + block * self.dst_stride;
                    let (memory, unit): (&mut [u8], _) = match self.mode {
                        "rows" => (main, self.dst + r * self.dst_stride + c),
                        "scalar" => (main, self.dst + h * self.head_step + block * self.dst_stride),
                        "kv_scale" => {
                            let unit = self.dst + k_slot / slices * self.dst_stride;
                            (&mut channels[k_slot % slices], unit)
                        }
                        "kv_k" => (&mut channels[k_slot % slices], k_unit(k_slot) + (q >> 2)),
                        "kv_k4" => (&mut channels[k_slot % slices], k_unit(k_slot) + (q >> 3)),
                        "kv_v" => (&mut channels[v_slot % slices], v_unit + (q >> 2)),
                        "kv_v4" => (&mut channels[v_slot % slices], v_unit + (q >> 3)),
                        other => panic!("mode {other}"),
                    };
                    let unit = &mut memory[64 * unit..64 * unit + 64];
                    let scalar = || chip.s[src].to_le_bytes();
                    match self.mode {
                        "rows" => {
                            let words = &chip.spad[16 * src..16 * src + 16];
                            let data: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
                            unit.copy_from_slice(&data);
                        }
                        "scalar" | "kv_scale" => unit[4 * q..4 * q + 4].copy_from_slice(&scalar()),
                        mode => {
                            // Element e of a key is an input of output q, of a value an output of input q.
                            for (e, x) in x.iter().enumerate() {
                                let (n, k) = if mode.starts_with("kv_k") { (q, e) } else { (e, q) };
                                if !mode.ends_with('4') {
                                    unit[chunk_byte((n / 4) ^ (k / 4), n, k)] = *x as u8;
                                    continue;
                                }
                                let n4 = ((113 * i32::from(*x) + 1024) >> 11) as u8 & 15;
                                let chunk = 2 * ((n / 8) ^ (k / 8)) + q / 4 % 2;
                                let byte = &mut unit[chunk_byte(chunk, n, k)];
                                *byte = if e / 4 % 2 == 0 { *byte & 0xf0 | n4 } else { *byte & 15 | n4 << 4 };
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Byte of a unit: in a chunk, that of output n and stored input k.
fn chunk_byte(chunk: usize, n: usize, k: usize) -> usize {
    16 * chunk + 4 * (n % 4) + k % 4
}

/// Fields of a weight load.
#[derive(Debug, Clone, Copy, Default)]
pub struct Load {
    pub tiles: usize,
    pub kb: usize,
    pub kbg: usize,
    pub src: usize,
    pub stride: usize,
    pub first: usize,
    pub wscale: bool,
    pub bias: bool,
    /// w8k, w8n, w4k, w4n, mixed.
    pub fmt: usize,
    /// dense, s2of4, s8of16, s4of16, s2of16.
    pub nm: usize,
}

pub const FMT: [&str; 5] = ["w8k", "w8n", "w4k", "w4n", "mixed"];
pub const NM: [&str; 5] = ["dense", "s2of4", "s8of16", "s4of16", "s2of16"];
const INDEX_UNITS: [usize; 5] = [0, 1, 1, 2, 2];
const MIXED_BITS: [u32; 8] = [8, 4, 2, 3, 5, 6, 8, 8];

/// A stored word: value and input of the window of each (output, stored input).
pub struct Word {
    pub value: [[i32; 16]; 16],
    pub input: [[usize; 16]; 16],
}

/// A tile with the scales (f32 bits) of each group.
#[derive(Default)]
pub struct Tile {
    pub bias: Option<[u32; 16]>,
    pub scales: Vec<[u32; 16]>,
    pub words: Vec<Word>,
}

struct Units<'a> {
    bytes: &'a [u8],
    at: usize,
    left: usize,
}

impl Units<'_> {
    fn next(&mut self) -> [u8; 64] {
        if self.left == 0 {
            return [0; 64];
        }
        self.left -= 1;
        self.at += 1;
        self.bytes[64 * (self.at - 1)..64 * self.at].try_into().expect("64 bytes")
    }
    fn floats(&mut self) -> [u32; 16] {
        let unit = self.next();
        std::array::from_fn(|i| u32::from_le_bytes(unit[4 * i..4 * i + 4].try_into().expect("4 bytes")))
    }
}

fn bits(unit: &[u8], lsb: usize, width: usize) -> usize {
    (0..width).map(|i| usize::from(unit[(lsb + i) / 8] >> ((lsb + i) % 8) & 1) << i).sum()
}

fn signed(x: usize, width: u32) -> i32 {
    (x as i32) << (32 - width) >> (32 - width)
}

impl Load {
    pub fn words_a_group(&self) -> usize {
        if self.kbg == 0 {
            self.kb
        } else {
            self.kbg
        }
    }

    /// Units of a tile that is not mixed.
    pub fn plain_units(&self) -> usize {
        let groups = if self.wscale { self.kb.div_ceil(self.words_a_group()) } else { 0 };
        let values = if self.fmt < 2 { 4 } else { 2 };
        usize::from(self.bias) + groups + self.kb * (INDEX_UNITS[self.nm] + values)
    }

    pub fn text(&self) -> String {
        format!(
            "ld mode=weight rows={} len={} src_off={} src_stride={} kbg={} wscale={} bias={} fmt={} nm={} first={}\n",
            self.tiles,
            self.kb,
            self.src,
            self.stride,
            self.kbg,
            u8::from(self.wscale),
            u8::from(self.bias),
            FMT[self.fmt],
            NM[self.nm],
            self.first
        )
    }

    /// Tile j, from the memories of all channels, and how many units it uses.
    pub fn tile(&self, channels: &[Vec<u8>], j: usize) -> (Tile, usize) {
        let slot = self.first + j;
        let at = self.src + slot / channels.len() * self.stride;
        let left = if self.fmt == 4 { self.stride } else { usize::MAX };
        let mut units = Units { bytes: &channels[slot % channels.len()], at, left };
        let mut tile = Tile::default();
        if self.bias {
            tile.bias = Some(units.floats());
        }
        let mut pair = [0; 64];
        let mut done = 0;
        for group in 0.. {
            if done == self.kb {
                break;
            }
            let words = self.words_a_group().min(self.kb - done);
            let mut width = [8, 8, 4, 4, 0][self.fmt];
            if self.fmt == 4 {
                if group % 2 == 0 {
                    pair = units.next();
                }
                let half: [usize; 16] =
                    std::array::from_fn(|n| bits(&pair, 32 * n + 16 * (1 - group % 2), 16));
                tile.scales.push(half.map(|h| ((h & 0x7fff) << 16) as u32));
                width = MIXED_BITS[(half[0] >> 15) | (half[1] >> 15) << 1 | (half[2] >> 15) << 2];
            } else if self.wscale {
                tile.scales.push(units.floats());
            }
            let mut above = [0; 64];
            for word in 0..words {
                if width == 6 || (width % 2 == 1 && word % 2 == 0) {
                    above = units.next();
                }
                let input = self.inputs(&mut units);
                let value = self.values(&mut units, width, &above, word % 2);
                tile.words.push(Word { value, input });
            }
            done += words;
        }
        (tile, units.at - at)
    }

    /// Which byte of the window each stored input takes.
    fn inputs(&self, units: &mut Units<'_>) -> [[usize; 16]; 16] {
        let index: Vec<u8> = (0..INDEX_UNITS[self.nm]).flat_map(|_| units.next()).collect();
        let pick = |n: usize, k: usize| -> usize {
            let e = 16 * n + k;
            match self.nm {
                0 => k,
                // Blocks of 4 positions: block k div 2 of the window.
                1 => 4 * (k / 2) + bits(&index, 4 * (e % 128) + 2 * (n / 8), 2),
                2 => {
                    let mask = bits(&index, 32 * n + 16 * (k / 8), 16);
                    16 * (k / 8) + (0..16).filter(|p| mask >> p & 1 == 1).nth(k % 8).unwrap_or(15)
                }
                3 => 16 * (k / 4) + bits(&index, 4 * e, 4),
                _ => 16 * (k / 2) + bits(&index, 4 * e, 4),
            }
        };
        std::array::from_fn(|n| std::array::from_fn(|k| pick(n, k)))
    }

    /// The values of a word; `above`: the unit of its extra bits, of which it has the `place`-th.
    fn values(&self, units: &mut Units<'_>, width: u32, above: &[u8; 64], place: usize) -> [[i32; 16]; 16] {
        let count = match width {
            8 => 4,
            2 | 3 => 1,
            _ => 2,
        };
        let data: Vec<[u8; 64]> = (0..count).map(|_| units.next()).collect();
        let two = |unit: &[u8], n: usize, k: usize| {
            bits(unit, 8 * chunk_byte((n / 4) ^ (k / 4), n, k) + 2 * (n / 4), 2)
        };
        let one = |n: usize, k: usize| -> i32 {
            let (r, c) = (n / 4, k / 4);
            let (major, minor) = if matches!(self.fmt, 1 | 3) { (c, r) } else { (r, c) };
            let extra = two(above, n, k);
            let q = match width {
                8 => usize::from(data[major][chunk_byte(r ^ c, n, k)]),
                2 => two(&data[0], n, k),
                3 => two(&data[0], n, k) + ((extra >> place & 1) << 2),
                _ => {
                    let byte = chunk_byte(2 * ((r / 2) ^ (c / 2)) + major % 2, n, k);
                    let nibble = bits(&data[major / 2], 8 * byte + 4 * (minor % 2), 4);
                    match width {
                        4 => nibble,
                        5 => nibble + ((extra >> place & 1) << 4),
                        _ => nibble + ((extra & 1) << 5) + (extra >> 1 << 4),
                    }
                }
            };
            let q = signed(q, width);
            if width <= 3 {
                2 * q + 1
            } else {
                q
            }
        };
        std::array::from_fn(|n| std::array::from_fn(|k| one(n, k)))
    }
}
