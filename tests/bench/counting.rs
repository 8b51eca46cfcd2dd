//! Counts allocations, of the whole process: the service beside the client makes none.

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) allocations: usize,
    /// Of a vector or text that outgrew its room.
    pub(crate) reallocations: usize,
}

/// The least that one call allocates: what other threads or growing pools allocate meanwhile only
/// adds to some of the calls.
pub(crate) fn count(mut call: impl FnMut()) -> Counted {
    let counts = (0..50).map(|_| {
        let region = Region::new(ALLOCATOR);
        call();
        let change = region.change();
        Counted { allocations: change.allocations, reallocations: change.reallocations }
    });
    counts.min_by_key(|it| it.allocations + it.reallocations).unwrap()
}
