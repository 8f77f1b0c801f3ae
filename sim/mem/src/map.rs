//! From an address within a channel to bank and row.

use crate::timing::Timing;

/// Bits of an access index (address divided by the bytes of a column command), lowest first:
/// interleaved bank-group bits, column, bank (or remaining group) bits, the other of the two, row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressMap {
    /// Bank-group bits below the column.
    pub interleaved_bits: u32,
    /// Column bits: a page holds `1 << column_bits` accesses.
    pub column_bits: u32,
    /// Bank bits.
    pub bank_bits: u32,
    /// Bank-group bits above the column.
    pub upper_group_bits: u32,
    /// Whether those lie above the bank bits.
    pub groups_above_banks: bool,
}

/// Where an access goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Bank of the channel; its group is `bank / banks_per_group`.
    pub bank: usize,
    /// Row of the bank.
    pub row: u64,
}

impl AddressMap {
    /// U280's default as Shuhai names it, row - group - 2 bank - 5 column - group, "RGBCG" (recalled,
    /// unverified). Pages of 1 KB, 16 banks, 23 bits: PG276. Both group bits lowest would need four
    /// activates for 128 bytes, 6.6 GB/s at random, where 9.6 were measured; one group bit needs two.
    pub const fn hbm2_u280() -> AddressMap {
        AddressMap {
            interleaved_bits: 1,
            column_bits: 5,
            bank_bits: 2,
            upper_group_bits: 1,
            groups_above_banks: true,
        }
    }

    /// Both bank-group bits lowest: HBM2 as in DRAMsim3's runs.
    pub const fn hbm2_groups_lowest() -> AddressMap {
        AddressMap {
            interleaved_bits: 2,
            column_bits: 5,
            bank_bits: 2,
            upper_group_bits: 0,
            groups_above_banks: true,
        }
    }

    /// Column bits lowest, then banks, then groups.
    pub const fn hbm2_columns_lowest() -> AddressMap {
        AddressMap {
            interleaved_bits: 0,
            column_bits: 5,
            bank_bits: 2,
            upper_group_bits: 2,
            groups_above_banks: true,
        }
    }

    /// DDR4 of sixteen x4 devices: pages of 8 KB (128 accesses), both group bits lowest.
    pub const fn ddr4() -> AddressMap {
        AddressMap {
            interleaved_bits: 2,
            column_bits: 7,
            bank_bits: 2,
            upper_group_bits: 0,
            groups_above_banks: true,
        }
    }

    /// Bank and row of an access.
    #[inline]
    pub fn locate(&self, access: u64) -> Place {
        let mut left = access;
        let mut take = |bits: u32| {
            let field = left & ((1 << bits) - 1);
            left >>= bits;
            field
        };
        let low = take(self.interleaved_bits);
        take(self.column_bits);
        let (bank, high) = if self.groups_above_banks {
            let bank = take(self.bank_bits);
            (bank, take(self.upper_group_bits))
        } else {
            let high = take(self.upper_group_bits);
            (take(self.bank_bits), high)
        };
        let group = high << self.interleaved_bits | low;
        Place { bank: (group << self.bank_bits | bank) as usize, row: left }
    }

    /// Accesses from this one on that stay in the same row of the interleaved banks.
    #[inline]
    pub fn same_rows(&self, access: u64) -> u64 {
        let rows = 1 << (self.interleaved_bits + self.column_bits);
        rows - (access & (rows - 1))
    }

    /// Banks that consecutive accesses visit in turn.
    #[inline]
    pub fn lanes(&self) -> usize {
        1 << self.interleaved_bits
    }

    /// Whether the map addresses exactly the banks that the timing set has.
    pub fn fits(&self, timing: &Timing) -> bool {
        1 << (self.interleaved_bits + self.upper_group_bits) == timing.bank_groups
            && 1 << self.bank_bits == timing.banks_per_group
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_map_is_one_to_one_on_a_row_of_all_banks() {
        let maps =
            [AddressMap::hbm2_u280(), AddressMap::hbm2_groups_lowest(), AddressMap::hbm2_columns_lowest()];
        for map in maps {
            assert!(map.fits(&Timing::hbm2_u280()));
            let accesses = 16 << map.column_bits;
            let mut per_bank = [0; 16];
            for access in 0..accesses {
                let place = map.locate(access);
                assert_eq!(place.row, 0);
                per_bank[place.bank] += 1;
            }
            assert_eq!(per_bank, [1 << map.column_bits; 16]);
            assert_eq!(map.locate(accesses).row, 1);
        }
    }

    #[test]
    fn same_rows_ends_where_a_row_ends() {
        let map = AddressMap::hbm2_u280();
        let banks = |from: u64, count: u64| -> BTreeSet<(usize, u64)> {
            (from..from + count).map(|a| map.locate(a)).map(|p| (p.bank, p.row)).collect()
        };
        assert_eq!(map.same_rows(3), 61);
        assert_eq!(banks(3, 61).len(), 2);
        assert_eq!(banks(3, 62).len(), 3);
    }
}
