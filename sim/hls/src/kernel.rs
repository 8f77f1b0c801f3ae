//! The compiled kernels: one a configuration, behind the functions of `cpp/shim.cpp`.

use std::ffi::c_void;

/// A kernel's state: memories on the chip.
pub(crate) type State = c_void;

/// Functions of a kernel.
#[derive(Clone, Copy)]
pub(crate) struct Api {
    pub isa_hash: unsafe extern "C" fn() -> u32,
    pub ports: unsafe extern "C" fn() -> u32,
    pub new: unsafe extern "C" fn() -> *mut State,
    pub free: unsafe extern "C" fn(*mut State),
    #[allow(clippy::type_complexity, reason = "the kernel's ports")]
    pub launch: unsafe extern "C" fn(
        *mut State,
        *const u8,
        *mut u32,
        *const *const u8,
        *const *mut u8,
        *mut u32,
        *mut c_void,
        unsafe extern "C" fn(*mut c_void, u32, u32),
        unsafe extern "C" fn(*mut c_void) -> bool,
    ),
    pub on_chip: unsafe extern "C" fn(*const State, *mut u32, *mut i8, *mut u32, *mut u32),
}

macro_rules! kernels {
    ($($config:literal { $hash:ident $ports:ident $new:ident $free:ident $launch:ident $on_chip:ident })*) => {
        extern "C" {
            $(
                fn $hash() -> u32;
                fn $ports() -> u32;
                fn $new() -> *mut State;
                fn $free(state: *mut State);
                fn $launch(
                    state: *mut State,
                    main_in: *const u8,
                    main_out: *mut u32,
                    channel_in: *const *const u8,
                    channel_out: *const *mut u8,
                    csr: *mut u32,
                    caller: *mut c_void,
                    on_retired: unsafe extern "C" fn(*mut c_void, u32, u32),
                    on_stop: unsafe extern "C" fn(*mut c_void) -> bool,
                );
                fn $on_chip(state: *const State, spad: *mut u32, abuf: *mut i8, s: *mut u32, r: *mut u32);
            )*
        }

        /// Names of the configurations that are compiled in.
        pub(crate) const NAMES: &[&str] = &[$($config),*];

        /// The kernel of a configuration.
        pub(crate) fn named(config: &str) -> Option<Api> {
            match config {
                $($config => Some(Api {
                    isa_hash: $hash,
                    ports: $ports,
                    new: $new,
                    free: $free,
                    launch: $launch,
                    on_chip: $on_chip,
                }),)*
                _ => None,
            }
        }
    };
}

kernels! {
    "sim" {
        flightvlm_csim_sim_isa_hash flightvlm_csim_sim_ports flightvlm_csim_sim_new
        flightvlm_csim_sim_free flightvlm_csim_sim_launch flightvlm_csim_sim_on_chip
    }
    "mini" {
        flightvlm_csim_mini_isa_hash flightvlm_csim_mini_ports flightvlm_csim_mini_new
        flightvlm_csim_mini_free flightvlm_csim_mini_launch flightvlm_csim_mini_on_chip
    }
    "u280" {
        flightvlm_csim_u280_isa_hash flightvlm_csim_u280_ports flightvlm_csim_u280_new
        flightvlm_csim_u280_free flightvlm_csim_u280_launch flightvlm_csim_u280_on_chip
    }
}
