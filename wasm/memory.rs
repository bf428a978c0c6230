//! Memory behind the static data. It is never given back.
use core::arch::wasm32::{memory_grow, memory_size, unreachable};
use core::ptr::addr_of;

const PAGE: usize = 65536;
/// Rows of the match finder are cache lines.
const ALIGNMENT: usize = 64;

extern "C" {
    static __heap_base: u8;
}

static mut USED: usize = 0;

/// Memory that is 0. Traps if there is none left.
pub unsafe fn allocate(size: usize) -> *mut u8 {
    let used = USED.max(addr_of!(__heap_base) as usize);
    USED = (used + ALIGNMENT - 1) & !(ALIGNMENT - 1);
    let start = USED;
    extend(size);
    start as *mut u8
}

/// Adds `size` bytes to the last allocation.
pub unsafe fn extend(size: usize) {
    USED += size;
    ensure(USED);
}

/// Makes memory reach to `end`.
#[inline(always)]
pub unsafe fn ensure(end: usize) {
    let missing = end.saturating_sub(memory_size(0) * PAGE);
    if missing > 0 && memory_grow(0, missing.div_ceil(PAGE)) == usize::MAX {
        unreachable();
    }
}

#[inline(always)]
pub unsafe fn load32(at: *const u8) -> u32 {
    (at as *const u32).read_unaligned()
}

#[inline(always)]
pub unsafe fn load64(at: *const u8) -> u64 {
    (at as *const u64).read_unaligned()
}
