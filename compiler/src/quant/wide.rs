//! Loops compiled once for each vector width; the CPU decides at run time which one runs. Operations and
//! their order do not depend on the width and nothing is fused, so the bits are the same everywhere.

/// Declares `$name` with the arguments and the result of `$body`, an `#[inline(always)]` function.
macro_rules! widest {
    ($(#[$doc:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $out:ty)? = $body:ident) => {
        $(#[$doc])*
        $vis fn $name($($arg: $ty),*) $(-> $out)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw")]
                fn avx512($($arg: $ty),*) $(-> $out)? {
                    $body($($arg),*)
                }
                #[target_feature(enable = "avx2")]
                fn avx2($($arg: $ty),*) $(-> $out)? {
                    $body($($arg),*)
                }
                use std::arch::is_x86_feature_detected as has;
                if has!("avx512f") && has!("avx512bw") {
                    // SAFETY: the CPU has these instructions.
                    #[allow(unsafe_code, reason = "instructions that the CPU was asked for")]
                    return unsafe { avx512($($arg),*) };
                }
                if has!("avx2") {
                    // SAFETY: the CPU has these instructions.
                    #[allow(unsafe_code, reason = "instructions that the CPU was asked for")]
                    return unsafe { avx2($($arg),*) };
                }
            }
            $body($($arg),*)
        }
    };
}

pub(super) use widest;

widest! {
    /// `to += factor · from`, element by element.
    pub(super) fn add_scaled(to: &mut [f32], factor: f32, from: &[f32]) = add
}

#[inline(always)]
fn add(to: &mut [f32], factor: f32, from: &[f32]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += factor * from);
}
