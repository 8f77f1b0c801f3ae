//! What the user asks for: widths, sparsity, group size.

use std::fmt;
use std::str::FromStr;

use crate::diag::Diagnostic;

/// Bits of a stored level that the weight stream knows, ascending.
pub const WIDTHS: [u8; 6] = [2, 3, 4, 5, 6, 8];

/// Which inputs a row stores: in each block of `m` consecutive inputs exactly `n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sparsity {
    /// All of them.
    Dense,
    /// 2 of 4.
    S2of4,
    /// 8 of 16.
    S8of16,
    /// 4 of 16.
    S4of16,
    /// 2 of 16.
    S2of16,
}

impl Sparsity {
    /// Every pattern, densest first.
    pub const ALL: [Sparsity; 5] =
        [Sparsity::Dense, Sparsity::S2of4, Sparsity::S8of16, Sparsity::S4of16, Sparsity::S2of16];

    /// Stored inputs of a block.
    pub fn n(self) -> usize {
        match self {
            Sparsity::Dense => 1,
            Sparsity::S2of4 | Sparsity::S2of16 => 2,
            Sparsity::S4of16 => 4,
            Sparsity::S8of16 => 8,
        }
    }

    /// Inputs of a block.
    pub fn m(self) -> usize {
        match self {
            Sparsity::Dense => 1,
            Sparsity::S2of4 => 4,
            Sparsity::S8of16 | Sparsity::S4of16 | Sparsity::S2of16 => 16,
        }
    }

    /// Dense inputs of a word of 16 stored ones.
    pub fn word_cols(self) -> usize {
        16 * self.m() / self.n()
    }

    /// Bits that say where a stored value belongs: its position, or for 8:16 its share of a mask of
    /// 16 bits per block, which is shorter than 8 positions of 4 bits.
    pub fn index_bits(self) -> usize {
        match self {
            Sparsity::Dense => 0,
            Sparsity::S2of4 | Sparsity::S8of16 => 2,
            Sparsity::S4of16 | Sparsity::S2of16 => 4,
        }
    }

    /// Bits of a block of `m` inputs with levels of `bits`.
    pub fn block_bits(self, bits: u8) -> usize {
        self.n() * (usize::from(bits) + self.index_bits())
    }

    /// Checks that the pattern does not need more room than the dense matrix of the same precision.
    pub fn check_storage(self, bits: u8) -> Result<(), Diagnostic> {
        let (n, m, index) = (self.n(), self.m(), self.index_bits());
        let (sparse, dense) = (self.block_bits(bits), m * usize::from(bits));
        if sparse <= dense {
            return Ok(());
        }
        Err(Diagnostic::new(
            format!("sparsity {self} at {bits} bits"),
            format!("at most the dense matrix's {m} x {bits} = {dense} bits per block of {m} inputs"),
            format!("{n} x ({bits} level + {index} index) = {sparse} bits"),
            "store the matrix dense, or with wider levels",
        ))
    }
}

impl fmt::Display for Sparsity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sparsity::Dense => write!(f, "dense"),
            _ => write!(f, "{}:{}", self.n(), self.m()),
        }
    }
}

impl FromStr for Sparsity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Sparsity::ALL.map(|s| s.to_string()).join(", ");
        let found = Sparsity::ALL.into_iter().find(|s| s.to_string() == text);
        found.ok_or_else(|| format!("no sparsity {text:?}; choose one of {}", names()))
    }
}

/// How wide levels are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Widths {
    /// One of [`WIDTHS`] everywhere.
    Uniform(u8),
    /// Each group of each tile has its own width; a tile's average stays at or below this, as near as
    /// whole widths come to it.
    Mixed {
        /// 2 to 8.
        average_bits: f32,
    },
}

impl fmt::Display for Widths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Widths::Uniform(bits) => write!(f, "w{bits}"),
            Widths::Mixed { average_bits } => write!(f, "mixed={average_bits}"),
        }
    }
}

impl FromStr for Widths {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let uniform = WIDTHS.into_iter().find(|bits| text == format!("w{bits}"));
        let mixed = text.strip_prefix("mixed=").and_then(|number| number.parse().ok());
        match (uniform, mixed) {
            (Some(bits), _) => Ok(Widths::Uniform(bits)),
            (None, Some(average_bits)) if (2.0..=8.0).contains(&average_bits) => {
                Ok(Widths::Mixed { average_bits })
            }
            _ => Err(format!(
                "no weight format {text:?}; choose one of {}, or mixed=B with B from 2 to 8 bits",
                WIDTHS.map(|bits| format!("w{bits}")).join(", ")
            )),
        }
    }
}

/// The storage of one linear layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spec {
    /// Bits of the levels.
    pub widths: Widths,
    /// Which inputs are stored.
    pub sparsity: Sparsity,
    /// Words of 16 stored inputs that share a scale.
    pub group_words: usize,
}

impl Spec {
    /// Words of a group unless chosen otherwise.
    pub const GROUP_WORDS: usize = 8;

    /// Dense matrix, default groups.
    pub fn dense(widths: Widths) -> Self {
        Spec { widths, sparsity: Sparsity::Dense, group_words: Self::GROUP_WORDS }
    }

    /// Dense inputs of a full group.
    pub fn group_cols(&self) -> usize {
        self.group_words * self.sparsity.word_cols()
    }

    /// Checks that sparse storage pays for its index at every width that may occur.
    pub fn check_storage(&self) -> Result<(), Diagnostic> {
        let narrowest = match self.widths {
            Widths::Uniform(bits) => bits,
            Widths::Mixed { .. } => WIDTHS[0],
        };
        self.sparsity.check_storage(narrowest)
    }
}
