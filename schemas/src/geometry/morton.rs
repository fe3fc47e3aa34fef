//! Morton order (Z-order): interleaves the bits of two coordinates so that a square block of cells is one range of keys.
//! Source: the magic-number bit spreading in S. E. Anderson, "Bit Twiddling Hacks", section "Interleave bits".

/// The Morton code of (x, z): x in the even bits, z in the odd ones.
pub fn morton(x: u16, z: u16) -> u32 {
    spread(x) | spread(z) << 1
}

/// The inverse of [`morton`].
pub fn unmorton(code: u32) -> (u16, u16) {
    (gather(code), gather(code >> 1))
}

fn spread(value: u16) -> u32 {
    let mut v = u32::from(value);
    v = (v | v << 8) & 0x00ff_00ff;
    v = (v | v << 4) & 0x0f0f_0f0f;
    v = (v | v << 2) & 0x3333_3333;
    (v | v << 1) & 0x5555_5555
}

fn gather(code: u32) -> u16 {
    let mut v = code & 0x5555_5555;
    v = (v | v >> 1) & 0x3333_3333;
    v = (v | v >> 2) & 0x0f0f_0f0f;
    v = (v | v >> 4) & 0x00ff_00ff;
    (v | v >> 8) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trips(x: u16, z: u16) {
            prop_assert_eq!(unmorton(morton(x, z)), (x, z));
        }

        #[test]
        fn a_block_is_one_range(x: u16, z: u16, level in 0u32..16) {
            let mask = (1u32 << (2 * level)) - 1;
            let first = morton(x & !((1 << level) - 1), z & !((1 << level) - 1));
            let code = morton(x, z);
            prop_assert!(first <= code && code <= first | mask);
        }
    }
}
