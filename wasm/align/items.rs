//! Lists of alignments.
use super::memory::ensure;
use core::mem::size_of;

/// Target[target, target + length) resembles source[source, source + length).
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Item {
    pub target: i32,
    pub source: i32,
    pub length: i32,
}

/// A list that grows at the end of memory.
pub struct Items {
    first: *mut Item,
    pub count: i32,
}

impl Items {
    /// @param start a multiple of 4
    pub const fn at(start: *mut u8) -> Items {
        Items { first: start as *mut Item, count: 0 }
    }

    pub fn start(&self) -> *const u8 {
        self.first as *const u8
    }

    pub unsafe fn end(&self) -> *mut u8 {
        self.first.add(self.count as usize) as *mut u8
    }

    pub unsafe fn get(&self, i: i32) -> Item {
        *self.first.add(i as usize)
    }

    pub unsafe fn push(&mut self, target: i32, source: i32, length: i32) {
        if length <= 0 {
            return;
        }
        let place = self.end();
        ensure(place as usize + size_of::<Item>());
        *(place as *mut Item) = Item { target, source, length };
        self.count += 1;
    }
}
