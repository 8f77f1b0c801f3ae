//! Pointers to the model's pins and memories.
//!
//! Verilator keeps a vector in the smallest of 8, 16, 32, 64 bits or words of 32 bits, little end
//! first; on a little-endian host each is an array of bytes, so a port of the packed channel vectors
//! is found by its index alone.

#[cfg(not(target_endian = "little"))]
compile_error!("the pins of the Verilated model are addressed as little-endian bytes");

/// Bytes of a beat.
pub(crate) const BEAT: usize = 64;

/// An AXI4 master port, or the vectors of all channels. Order as in `cpp/shim.cpp`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct PortPins {
    araddr: *mut u8,
    arlen: *mut u8,
    arvalid: *mut u8,
    arready: *mut u8,
    rdata: *mut u8,
    rresp: *mut u8,
    rlast: *mut u8,
    rvalid: *mut u8,
    rready: *mut u8,
    awaddr: *mut u8,
    awlen: *mut u8,
    awvalid: *mut u8,
    awready: *mut u8,
    wdata: *mut u8,
    wstrb: *mut u8,
    wlast: *mut u8,
    wvalid: *mut u8,
    wready: *mut u8,
    bresp: *mut u8,
    bvalid: *mut u8,
    bready: *mut u8,
}

/// Everything the harness touches. Order as in `cpp/shim.cpp`.
#[repr(C)]
pub(crate) struct Pins {
    pub clk: *mut u8,
    pub clk2x: *mut u8,
    pub rst_n: *mut u8,
    pub s_awaddr: *mut u16,
    pub s_awvalid: *mut u8,
    pub s_awready: *mut u8,
    pub s_wdata: *mut u32,
    pub s_wstrb: *mut u8,
    pub s_wvalid: *mut u8,
    pub s_wready: *mut u8,
    pub s_bvalid: *mut u8,
    pub s_bready: *mut u8,
    pub s_araddr: *mut u16,
    pub s_arvalid: *mut u8,
    pub s_arready: *mut u8,
    pub s_rdata: *mut u32,
    pub s_rvalid: *mut u8,
    pub s_rready: *mut u8,
    pub main: PortPins,
    pub channels: PortPins,
    pub active: *mut u8,
    pub retire_valid: *mut u8,
    pub retire_pc: *mut u64,
    /// Banks of SPAD and ABUF: word a is word a / banks of bank a mod banks.
    pub spad: [*const u32; 8],
    pub abuf: [*const u32; 8],
    pub s: *const u32,
    pub r: *const u32,
}

/// One port of `PortPins`.
#[derive(Clone, Copy)]
pub(crate) struct Port<'a> {
    pins: &'a PortPins,
    index: usize,
}

// SAFETY (all methods): the pointers lead into a live model whose vectors have a place for `index`.
impl PortPins {
    #[inline]
    pub fn port(&self, index: usize) -> Port<'_> {
        Port { pins: self, index }
    }

    /// Ports (of the first `count`) that ask for something: AR, AW or W is valid.
    #[inline]
    pub fn asking(&self, count: usize) -> u32 {
        let bits = |p: *const u8| -> u32 {
            // SAFETY: see above; a vector of up to 8 bits has one byte, one of 32 bits four.
            unsafe {
                if count <= 8 {
                    u32::from(*p)
                } else {
                    p.cast::<u32>().read()
                }
            }
        };
        bits(self.arvalid) | bits(self.awvalid) | bits(self.wvalid)
    }
}

macro_rules! bit {
    ($($get:ident $set:ident $pin:ident),*) => { $(
        #[inline]
        #[allow(dead_code, reason = "not every pin is read and written")]
        pub fn $get(&self) -> bool {
            // SAFETY: see `PortPins`.
            unsafe { *self.pins.$pin.add(self.index / 8) >> (self.index % 8) & 1 != 0 }
        }
        #[inline]
        #[allow(dead_code, reason = "not every pin is read and written")]
        pub fn $set(&self, on: bool) {
            // SAFETY: see `PortPins`.
            unsafe {
                let byte = self.pins.$pin.add(self.index / 8);
                *byte = *byte & !(1 << (self.index % 8)) | u8::from(on) << (self.index % 8);
            }
        }
    )* };
}

macro_rules! value {
    ($($get:ident $pin:ident $type:ty),*) => { $(
        #[inline]
        pub fn $get(&self) -> $type {
            // SAFETY: see `PortPins`.
            unsafe { self.pins.$pin.cast::<$type>().add(self.index).read_unaligned() }
        }
    )* };
}

impl Port<'_> {
    bit!(
        arvalid set_arvalid arvalid, arready set_arready arready, rvalid set_rvalid rvalid,
        rready set_rready rready, rlast set_rlast rlast, awvalid set_awvalid awvalid,
        awready set_awready awready, wvalid set_wvalid wvalid, wready set_wready wready,
        wlast set_wlast wlast, bvalid set_bvalid bvalid, bready set_bready bready
    );
    value!(araddr araddr u64, arlen arlen u8, awaddr awaddr u64, awlen awlen u8, wstrb wstrb u64);

    fn set_two_bits(&self, pin: *mut u8, value: u8) {
        // SAFETY: see `PortPins`.
        unsafe {
            let (byte, shift) = (pin.add(self.index / 4), self.index % 4 * 2);
            *byte = *byte & !(3 << shift) | value << shift;
        }
    }
    pub fn set_rresp(&self, value: u8) {
        self.set_two_bits(self.pins.rresp, value);
    }
    pub fn set_bresp(&self, value: u8) {
        self.set_two_bits(self.pins.bresp, value);
    }
    #[inline]
    pub fn set_rdata(&self, data: &[u8; BEAT]) {
        // SAFETY: see `PortPins`.
        unsafe { self.pins.rdata.add(self.index * BEAT).copy_from_nonoverlapping(data.as_ptr(), BEAT) }
    }
    #[inline]
    pub fn wdata(&self) -> [u8; BEAT] {
        // SAFETY: see `PortPins`.
        unsafe { self.pins.wdata.add(self.index * BEAT).cast::<[u8; BEAT]>().read_unaligned() }
    }
}
