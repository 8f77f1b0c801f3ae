//! The integer levels of each width.

/// Levels `step · k + offset` for integers `k` from `low` to `high`.
///
/// 8 bits: −127..=127. 4 to 6 bits: two's complement. 2 and 3 bits: the odd numbers, symmetric about
/// a zero that is not among them, because half the range on each side is worth more there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grid {
    step: f32,
    /// 1 / step, exact: steps are powers of two.
    inverse: f32,
    offset: f32,
    low: f32,
    high: f32,
}

/// Adding and subtracting it rounds to the nearest integer, ties to even, for |x| below 2²²; unlike
/// `round` it vectorises on every x86-64.
const ROUNDER: f32 = 1.5 * (1 << 23) as f32;

/// The nearest integer, ties to even, for |x| below 2²².
#[inline(always)]
pub(super) fn round(x: f32) -> f32 {
    (x + ROUNDER) - ROUNDER
}

impl Grid {
    /// The levels of `bits`, one of [`super::WIDTHS`].
    pub fn new(bits: u8) -> Self {
        assert!(super::WIDTHS.contains(&bits), "no levels of {bits} bits");
        let half = f32::from(1u16 << (bits - 1));
        match bits {
            8 => Grid { step: 1.0, inverse: 1.0, offset: 0.0, low: 1.0 - half, high: half - 1.0 },
            4.. => Grid { step: 1.0, inverse: 1.0, offset: 0.0, low: -half, high: half - 1.0 },
            _ => Grid { step: 2.0, inverse: 0.5, offset: 1.0, low: -half, high: half - 1.0 },
        }
    }

    /// The level nearest to `x`, as a float.
    #[inline(always)]
    pub fn nearest(&self, x: f32) -> f32 {
        let k = ((x - self.offset) * self.inverse).clamp(self.low, self.high);
        self.step * round(k) + self.offset
    }

    /// The level nearest to `x`. A conversion by `as` would look for values out of range one by one.
    #[inline(always)]
    pub fn level(&self, x: f32) -> i8 {
        (self.nearest(x) + ROUNDER).to_bits() as i8
    }

    /// The same levels, if they are neighbouring integers: constants that make [`Grid::nearest`] half as long
    /// in a loop that is compiled for them alone.
    #[inline(always)]
    pub fn whole(&self) -> Option<Grid> {
        let (low, high) = (self.low, self.high);
        (self.step == 1.0).then_some(Grid { step: 1.0, inverse: 1.0, offset: 0.0, low, high })
    }

    /// The largest level.
    pub fn max(&self) -> f32 {
        self.step * self.high + self.offset
    }

    /// The smallest level.
    pub fn min(&self) -> f32 {
        self.step * self.low + self.offset
    }

    /// True for levels of this width.
    pub fn contains(&self, level: i8) -> bool {
        self.nearest(f32::from(level)) == f32::from(level)
    }
}
