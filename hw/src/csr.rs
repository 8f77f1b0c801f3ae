//! The register map: AXI4-Lite, 32-bit registers, offsets in bytes.

/// Access rights of a register as software sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read only.
    Ro,
    /// Read and write.
    Rw,
}

/// One register.
#[derive(Debug, Clone, Copy)]
pub struct Csr {
    /// Upper-case name.
    pub name: &'static str,
    /// Byte offset.
    pub offset: u32,
    /// Access.
    pub access: Access,
    /// One line for the manual.
    pub doc: &'static str,
}

macro_rules! csrs {
    ($( $name:ident $offset:literal $access:ident $doc:literal )*) => {
        /// Every register, by offset.
        pub const CSRS: &[Csr] = &[$( Csr {
            name: stringify!($name), offset: $offset, access: Access::$access, doc: $doc } ),*];
        $( #[doc = $doc] pub const $name: u32 = $offset; )*
    };
}

csrs! {
    AP_CTRL 0x00 Rw "bit 0 ap_start (write 1; reads 1 until accepted), 1 ap_done (clears on read), 2 ap_idle, 3 ap_ready"
    ISA_HASH 0x10 Ro "hash of ISA table, register map and configuration"
    STATUS 0x14 Ro "bit 0 fault; 11:8 code; 18:16 unit; valid after ap_done"
    FAULT_PC 0x18 Ro "pc of the faulting instruction"
    MEM_UNITS 0x1c Rw "main memory size in 64-byte units; addresses at or past it fault"
    CODE_BASE 0x20 Rw "first main-memory unit of the code"
    CODE_LEN 0x24 Rw "instructions"
    ENTRY 0x28 Rw "pc of the first instruction"
    WATCHDOG 0x2c Rw "cycles without progress until fault DEADLOCK"
    CODE_UNITS 0x30 Rw "64-byte units of the code"
    CHANNEL_UNITS 0x34 Rw "size of each weight channel in 64-byte units; addresses at or past it fault"
    ARG1 0x44 Rw "loaded into R1 at launch; R2..R15 follow every 4 bytes up to 0x7c"
    CNT_CYCLES 0x80 Ro "cycles from ap_start to ap_done (two words, low first, as all counters)"
    CNT_DISPATCHED 0x88 Ro "instructions executed by the dispatcher, queue pushes included"
    CNT_RETIRED_LD 0x90 Ro "commands completed by LD"
    CNT_RETIRED_ST 0x98 Ro "commands completed by ST"
    CNT_RETIRED_MM 0xa0 Ro "commands completed by MM"
    CNT_RETIRED_VX 0xa8 Ro "commands completed by VX"
    CNT_BUSY_LD 0xb0 Ro "cycles in which LD executes a command"
    CNT_BUSY_ST 0xb8 Ro "cycles in which ST executes a command"
    CNT_BUSY_MM 0xc0 Ro "cycles in which MM executes a command"
    CNT_BUSY_VX 0xc8 Ro "cycles in which VX executes a command"
    CNT_WAIT_LD 0xd0 Ro "cycles in which LD's oldest command waits for tokens"
    CNT_WAIT_ST 0xd8 Ro "cycles in which ST's oldest command waits for tokens"
    CNT_WAIT_MM 0xe0 Ro "cycles in which MM's oldest command waits for tokens"
    CNT_WAIT_VX 0xe8 Ro "cycles in which VX's oldest command waits for tokens"
    CNT_READ_BEATS 0xf0 Ro "read beats of main memory, 64 bytes each"
    CNT_WRITE_BEATS 0xf8 Ro "write beats of main memory"
    CNT_MAC_BEATS 0x100 Ro "array beats: 16 outputs x 16 stored inputs x the rows in use, all slices"
    CNT_STARVED_MM 0x108 Ro "cycles in which MM executes but waits for weights"
    CNT_CHANNEL_READ_BEATS 0x110 Ro "read beats of all weight channels"
    CNT_CHANNEL_WRITE_BEATS 0x118 Ro "write beats of all weight channels"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_distinct_and_aligned() {
        for (i, c) in CSRS.iter().enumerate() {
            assert_eq!(c.offset % 4, 0);
            assert!(CSRS[..i].iter().all(|d| d.offset < c.offset && d.name != c.name));
        }
    }
}
