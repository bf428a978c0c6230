//! The inner loops of `lib/delta/align`: the alignment of two buffers, and the search for samples. An instance does one task
//! after the other.
#![no_std]
#![allow(static_mut_refs)]

#[path = "align/compare.rs"]
mod compare;
#[path = "align/index.rs"]
mod index;
#[path = "align/items.rs"]
mod items;
#[path = "memory.rs"]
mod memory;
#[path = "align/records.rs"]
mod records;
#[path = "align/samples.rs"]
mod samples;
#[path = "align/scan.rs"]
mod scan;

use compare::{Sides, MARGIN};
use core::ptr::null_mut;
use index::SeedIndex;
use items::Items;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}

/// Room for each side, in bytes: a multiple of 4. Margins are around them, tables and alignments behind them.
static mut LARGEST: usize = 0;
static mut SOURCE: *mut u8 = null_mut();
static mut TARGET: *mut u8 = null_mut();
static mut FOUND: Items = Items::at(null_mut());

/// Makes room for sides of up to `largest` bytes. Their contents are lost.
#[no_mangle]
pub unsafe extern "C" fn reserve(largest: usize) {
    if SOURCE.is_null() {
        SOURCE = memory::allocate(0).add(MARGIN);
    }
    if largest > LARGEST {
        LARGEST = (largest + 3) & !3;
    }
    TARGET = SOURCE.add(LARGEST + MARGIN);
    memory::ensure(tables() as usize);
}

unsafe fn tables() -> *mut u8 {
    TARGET.add(LARGEST + MARGIN)
}

#[no_mangle]
pub unsafe extern "C" fn source() -> *const u8 {
    SOURCE
}

#[no_mangle]
pub unsafe extern "C" fn target() -> *const u8 {
    TARGET
}

unsafe fn sides(source_size: i32, target_size: i32) -> Sides {
    Sides { source: SOURCE, source_size, target: TARGET, target_size }
}

/// Aligns the sides. Returns the number of alignments, which are at `found`.
#[no_mangle]
pub unsafe extern "C" fn align(
    source_size: i32,
    target_size: i32,
    max_places: usize,
    max_entries: i32,
    max_skip: i32,
    skip_bits: i32,
) -> i32 {
    let sides = sides(source_size, target_size);
    let index = SeedIndex::build(&sides, max_entries, tables());
    let mut items = Items::at(index.end());
    scan::scan(&sides, &index, scan::Settings { max_places, max_skip, skip_bits }, &mut items);
    scan::prune(&sides, &mut items);
    FOUND = Items::at(items.end());
    records::rephase(&sides, &items, &mut FOUND);
    FOUND.count
}

#[no_mangle]
pub unsafe extern "C" fn found() -> *const u8 {
    FOUND.start()
}

// The comparisons by themselves.

#[no_mangle]
pub unsafe extern "C" fn common_length(source_size: i32, s: i32, target_size: i32, t: i32) -> i32 {
    sides(source_size, target_size).common_length(s, t)
}

#[no_mangle]
pub unsafe extern "C" fn differing_bytes(s: i32, t: i32, size: i32, limit: i32) -> i32 {
    compare::differing(SOURCE.offset(s as isize), TARGET.offset(t as isize), size, limit)
}

#[no_mangle]
pub unsafe extern "C" fn extension(source_size: i32, s: i32, target_size: i32, t: i32) -> i32 {
    sides(source_size, target_size).extension(s, t, i32::MAX)
}

#[no_mangle]
pub unsafe extern "C" fn extension_back(s: i32, t: i32) -> i32 {
    sides(s, t).extension_back(s, t, 0)
}
