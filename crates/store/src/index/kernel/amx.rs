//! Products of tiles of bytes (AMX) for many probes; everything else with AVX-512.
//!
//! A tile instruction multiplies the codes of eight probes, 64 dimensions of each, with those of a group of sixteen rows: as
//! many products as 128 vector instructions make, in the time of eight.
#![expect(unsafe_code, reason = "instructions that the processor and the system were asked for at run time")]

use std::arch::asm;
use std::arch::x86_64::*;
use std::ops::Range;
use std::sync::OnceLock;

use super::avx512::{self, Bounds};
use super::{
    CodeLine, FoundRow, GROUP_ROWS, Kernel, TILE_LINES, TILE_PROBES, TileProbes, Tiles, group_bits, push_rows,
};

/// Tile lines of a group that a tile register holds: 64 dimensions.
const REGISTER_LINES: usize = 16;

/// The kernel, if this processor can run it and the system lets this process use tiles.
pub(super) fn available() -> Option<&'static Kernel> {
    static USABLE: OnceLock<bool> = OnceLock::new();
    let usable = || avx512::available().is_some() && has_tiles() && may_use_tiles();
    USABLE.get_or_init(usable).then_some(&KERNEL)
}

// Reached through `available` only, which has asked for all of it.
static KERNEL: Kernel = Kernel {
    name: "avx512-amx",
    // SAFETY: the processor and the system let this process use tiles, see above; `Kernel` has checked the lengths.
    scan_tiles: |tiles, groups, wanted, probes, cutoffs, found| unsafe {
        scan_tiles(tiles, groups, wanted, probes, cutoffs, found);
    },
    ..avx512::KERNEL
};

/// Whether the processor has the instructions and the system saves tiles: Linux names them only then.
fn has_tiles() -> bool {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = text.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    ["amx_tile", "amx_int8"].iter().all(|wanted| flags.split_ascii_whitespace().any(|flag| flag == *wanted))
}

/// Asks the system for leave to use tiles, which holds for all threads of the process.
#[cfg(target_os = "linux")]
fn may_use_tiles() -> bool {
    /// Linux, `arch/x86/include/uapi/asm/prctl.h`, and the number of the state component in the processor's manual.
    const ARCH_PRCTL: i64 = 158;
    const ARCH_REQ_XCOMP_PERM: i64 = 0x1023;
    const TILE_DATA: i64 = 18;
    let answer: i64;
    // SAFETY: a system call that changes nothing but what this process may use; it leaves all registers but these as
    // they are.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => answer,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") TILE_DATA,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack)
        );
    }
    answer == 0
}

#[cfg(not(target_os = "linux"))]
fn may_use_tiles() -> bool {
    false
}

/// The operand of `ldtilecfg`.
#[repr(C, align(64))]
struct TileConfig {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    n_rows: [u8; 16],
}

/// Tiles 0 and 1 for sums and 4 for probes have a row for each probe, 6 and 7 for codes have 16, of 64 bytes each.
static CONFIG: TileConfig = TileConfig {
    palette: 1,
    start_row: 0,
    reserved: [0; 14],
    row_bytes: [64, 64, 0, 0, 64, 0, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
    n_rows: [TILE_PROBES as u8, TILE_PROBES as u8, 0, 0, TILE_PROBES as u8, 0, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
};

/// # Safety
/// The processor has AVX-512 F, BW and VNNI and tiles may be used; lengths are as `Kernel::scan_tiles` checks them.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn scan_tiles(
    tiles: &Tiles<'_>,
    groups: Range<usize>,
    wanted: &[&[u64]; TILE_PROBES],
    probes: &TileProbes,
    cutoffs: &[f32; TILE_PROBES],
    found: &mut [Vec<FoundRow>; TILE_PROBES],
) {
    let n_tile_lines = tiles.n_lines * TILE_LINES;
    let bounds: [Bounds; TILE_PROBES] = std::array::from_fn(|idx| Bounds::new(&probes.terms[idx], cutoffs[idx]));
    let mut sums = [[CodeLine::ZERO; TILE_PROBES]; 2];
    // SAFETY: tiles may be used. No tile is used between the two instructions but by `multiply`, and pushing a row is all
    // that is called.
    unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const CONFIG, options(nostack, preserves_flags, readonly)) };
    let mut group = groups.start;
    while group < groups.end {
        // The last group of an odd number is multiplied twice.
        let pair = [group, (group + 1).min(groups.end - 1)];
        // SAFETY: the groups' tiles are there, and a line of each probe for every 64 dimensions.
        unsafe {
            let [first, second] = pair.map(|group| tiles.lines.as_ptr().add(group * n_tile_lines));
            multiply(probes.rows.as_ptr().cast(), [first, second], probes.rows.len(), &mut sums);
        }
        for (&group, sums) in pair.iter().zip(&sums).take(groups.end - group) {
            let first = group * GROUP_ROWS;
            // SAFETY: sixteen sizes of 32 bits follow, and a line is sixteen sums; the first load needs no alignment.
            let (sizes, sums): (__m512i, [__m512i; TILE_PROBES]) = unsafe {
                let sums = std::array::from_fn(|idx| _mm512_load_si512(sums[idx].0.as_ptr().cast()));
                (_mm512_loadu_si512(tiles.sizes.as_ptr().add(first).cast()), sums)
            };
            let masks: [u16; TILE_PROBES] = std::array::from_fn(|idx| bounds[idx].reaching(sums[idx], sizes));
            // Nearly always none.
            if masks.iter().fold(0, |any, mask| any | mask) == 0 {
                continue;
            }
            for probe_idx in 0..probes.n_probes {
                let mask = masks[probe_idx] & group_bits(wanted[probe_idx], group);
                if mask != 0 {
                    push_rows(mask, |lane| first + lane, &avx512::lanes(sums[probe_idx]), &mut found[probe_idx]);
                }
            }
        }
        group += 2;
    }
    // SAFETY: as above.
    unsafe { asm!("tilerelease", options(nostack, preserves_flags, nomem)) };
}

/// Sums of each probe with the rows of two groups: `n_registers` (at least one) products of tiles.
///
/// # Safety
/// Tiles are configured; there are `n_registers` times [`TILE_PROBES`] lines of probes and [`REGISTER_LINES`] lines of each
/// group.
#[inline]
unsafe fn multiply(
    probes: *const CodeLine,
    [first, second]: [*const CodeLine; 2],
    n_registers: usize,
    sums: &mut [[CodeLine; TILE_PROBES]; 2],
) {
    const { assert!(TILE_PROBES * 64 == 512 && REGISTER_LINES * 64 == 1024) };
    // SAFETY: see above. Reads 512 bytes of the probes and 1024 of each group in each round, writes two tiles of 512 bytes.
    unsafe {
        asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            "2:",
            "tileloadd tmm4, [{probes} + {line}*1]",
            "tileloadd tmm6, [{first} + {line}*1]",
            "tdpbsud tmm0, tmm4, tmm6",
            "tileloadd tmm7, [{second} + {line}*1]",
            "tdpbsud tmm1, tmm4, tmm7",
            "add {probes}, 512",
            "add {first}, 1024",
            "add {second}, 1024",
            "dec {left}",
            "jnz 2b",
            "tilestored [{sums} + {line}*1], tmm0",
            "tilestored [{sums} + {line}*1 + 512], tmm1",
            probes = inout(reg) probes => _,
            first = inout(reg) first => _,
            second = inout(reg) second => _,
            left = inout(reg) n_registers => _,
            line = in(reg) 64_usize,
            sums = in(reg) sums.as_mut_ptr(),
            out("tmm0") _, out("tmm1") _, out("tmm4") _, out("tmm6") _, out("tmm7") _,
            options(nostack)
        );
    }
}
