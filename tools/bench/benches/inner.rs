//! The inner loops under Criterion: `cargo bench -p pangaea-bench`, or `cargo bench -p pangaea-bench -- handover` for some.

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pangaea_bench::inner::LOOPS;

/// As in the real processes.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn inner_loops(criterion: &mut Criterion) {
    for inner in LOOPS {
        let mut group = criterion.benchmark_group(inner.name);
        group.throughput(Throughput::Elements(inner.elements));
        let mut round = None;
        group.bench_function(inner.of, |bencher| {
            // Set up when it is its turn, and once: a world of thousands takes longer than its rounds.
            match round.get_or_insert_with(|| inner.start()) {
                Ok(round) => bencher.iter(round.as_mut()),
                Err(error) => unreachable!("the loop {} does not start: {error:#}", inner.name),
            }
        });
        group.finish();
    }
}

fn configured() -> Criterion {
    Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(3)).sample_size(30)
}

criterion_group! { name = benches; config = configured(); targets = inner_loops }
criterion_main!(benches);
