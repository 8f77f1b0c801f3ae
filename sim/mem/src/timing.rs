//! Timing rules of a DRAM channel, in ticks of its clock.

/// JEDEC names; every time is in ticks of `clock_hz` (data move twice a tick).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// Frequency of a tick.
    pub clock_hz: u64,
    /// Bytes a column command moves.
    pub access_bytes: u64,
    /// Ticks a column command's data occupy the bus.
    pub burst: u64,
    /// Bank groups; a power of two, at most four.
    pub bank_groups: u64,
    /// Banks of a group; a power of two.
    pub banks_per_group: u64,
    /// RD to its data.
    pub cl: u64,
    /// WR to its data.
    pub cwl: u64,
    /// ACT to RD.
    pub t_rcd_rd: u64,
    /// ACT to WR.
    pub t_rcd_wr: u64,
    /// PRE to ACT and to REF.
    pub t_rp: u64,
    /// ACT to PRE.
    pub t_ras: u64,
    /// ACT to ACT of the same bank.
    pub t_rc: u64,
    /// Column command to column command, another bank group.
    pub t_ccd_s: u64,
    /// Column command to column command, same bank group.
    pub t_ccd_l: u64,
    /// ACT to ACT, another bank group.
    pub t_rrd_s: u64,
    /// ACT to ACT, same bank group.
    pub t_rrd_l: u64,
    /// First to fifth ACT.
    pub t_faw: u64,
    /// End of write data to PRE.
    pub t_wr: u64,
    /// RD to PRE.
    pub t_rtp: u64,
    /// End of write data to RD, another bank group.
    pub t_wtr_s: u64,
    /// End of write data to RD, same bank group.
    pub t_wtr_l: u64,
    /// Idle bus between read data and write data.
    pub t_bubble: u64,
    /// REF to REF.
    pub t_refi: u64,
    /// REF to ACT.
    pub t_rfc: u64,
}

/// Ticks of at least `ps` picoseconds.
const fn at_least(ps: u64, clock_hz: u64) -> u64 {
    (ps * (clock_hz / 1_000_000)).div_ceil(1_000_000)
}

impl Timing {
    /// U280's HBM2: 900 MHz, 4-high stacks.
    pub const fn hbm2_u280() -> Timing {
        Timing::hbm2(900_000_000, 260_000)
    }

    /// A 64-bit HBM2 pseudo-channel at `clock_hz` with tRFC `rfc_ps`: a 4-high stack (4 Gb channels) has
    /// 260 ns, an 8-high one 350 ns. Other times from the rules of
    /// Ramulator 2.1 (`hbm2.py`: JEDEC) and DRAMsim3's `HBM2_8Gb_x128.ini` where both agree; tFAW
    /// 16 ns because DRAMsim3's 30 ns contradicts measured random traffic. HBM2E's clocks are taken with
    /// the same times: a projection.
    pub const fn hbm2(clock_hz: u64, rfc_ps: u64) -> Timing {
        Timing {
            clock_hz,
            access_bytes: 32,
            burst: 2,
            bank_groups: 4,
            banks_per_group: 4,
            cl: at_least(14_000, clock_hz),
            cwl: at_least(5_000, clock_hz),
            t_rcd_rd: at_least(14_000, clock_hz),
            t_rcd_wr: at_least(12_000, clock_hz),
            t_rp: at_least(14_000, clock_hz),
            t_ras: at_least(34_000, clock_hz),
            t_rc: at_least(48_000, clock_hz),
            t_ccd_s: 2,
            t_ccd_l: 4,
            t_rrd_s: at_least(4_000, clock_hz),
            t_rrd_l: at_least(6_000, clock_hz),
            t_faw: at_least(16_000, clock_hz),
            t_wr: at_least(16_000, clock_hz),
            t_rtp: at_least(5_000, clock_hz),
            t_wtr_s: at_least(6_000, clock_hz),
            t_wtr_l: at_least(8_000, clock_hz),
            t_bubble: 1,
            t_refi: at_least(3_900_000, clock_hz),
            t_rfc: at_least(rfc_ps, clock_hz),
        }
    }

    /// U55C's 8-high stacks: as [`Timing::hbm2_u280`] with tRFC of an 8 Gb channel (350 ns).
    pub const fn hbm2_8h() -> Timing {
        Timing::hbm2(900_000_000, 350_000)
    }

    /// One of U280's two DDR4-2400 channels: 64 data bits, one rank of sixteen 8 Gb x4 devices
    /// (MTA18ASF2G72PZ), speed grade 17-17-17. Cycles as in DRAMsim3's `DDR4_8Gb_x4_2400.ini`
    /// (JESD79-4 values); tRC = tRAS + tRP; two idle ticks before a write (preamble, JESD79-4).
    pub const fn ddr4_2400() -> Timing {
        Timing {
            clock_hz: 1_200_000_000,
            access_bytes: 64,
            burst: 4,
            bank_groups: 4,
            banks_per_group: 4,
            cl: 17,
            cwl: 12,
            t_rcd_rd: 17,
            t_rcd_wr: 17,
            t_rp: 17,
            t_ras: 39,
            t_rc: 56,
            t_ccd_s: 4,
            t_ccd_l: 6,
            t_rrd_s: 4,
            t_rrd_l: 6,
            t_faw: 16,
            t_wr: 18,
            t_rtp: 9,
            t_wtr_s: 3,
            t_wtr_l: 9,
            t_bubble: 2,
            t_refi: 9360,
            t_rfc: 420,
        }
    }

    /// RD to WR that keeps their data apart.
    pub const fn read_to_write(&self) -> u64 {
        (self.cl + self.burst + self.t_bubble).saturating_sub(self.cwl)
    }

    /// WR to RD of another bank group.
    pub const fn write_to_read_s(&self) -> u64 {
        self.cwl + self.burst + self.t_wtr_s
    }

    /// WR to RD of the same bank group.
    pub const fn write_to_read_l(&self) -> u64 {
        self.cwl + self.burst + self.t_wtr_l
    }

    /// WR to PRE.
    pub const fn write_to_precharge(&self) -> u64 {
        self.cwl + self.burst + self.t_wr
    }

    /// Banks of the channel.
    pub const fn banks(&self) -> u64 {
        self.bank_groups * self.banks_per_group
    }

    /// Bytes a second at an always busy bus.
    pub fn peak_bytes_per_second(&self) -> u64 {
        self.access_bytes * self.clock_hz / self.burst
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nanoseconds_become_the_ticks_that_cover_them() {
        let t = Timing::hbm2_u280();
        assert_eq!((t.cl, t.cwl, t.t_rcd_wr, t.t_ras, t.t_rc), (13, 5, 11, 31, 44));
        assert_eq!((t.t_faw, t.t_refi, t.t_rfc), (15, 3510, 234));
        assert_eq!(Timing::hbm2_8h().t_rfc, 315);
        assert_eq!(t.peak_bytes_per_second(), 14_400_000_000);
        assert_eq!(Timing::ddr4_2400().peak_bytes_per_second(), 19_200_000_000);
    }
}
