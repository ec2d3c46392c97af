//! Calls that begin when their time has come, whatever became of the ones before.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::Quantiles;
use super::calls::Caller;
use crate::Result;

/// Makes `rate` calls a second for `time`, after `warmup` of the same that does not count. Gives the times of
/// those that count, and how many there were in all.
///
/// A call's time begins when it is due, so one that waits for a free connection is slow, as it is for whoever
/// waits for it. The thread that says so is woken by the kernel to some tens of microseconds, where the
/// runtime's own timers know milliseconds only; how late that was is not the server's fault and not counted.
pub async fn run(
    callers: Vec<Caller>,
    rate: u32,
    warmup: Duration,
    time: Duration,
) -> Result<(Quantiles, u64)> {
    let period = Duration::from_secs(1) / rate;
    let skipped = periods(warmup, period);
    let total = skipped + periods(time, period);
    let (due, mut ticks) = mpsc::unbounded_channel();
    let pacer = std::thread::spawn(move || {
        let begun = Instant::now();
        for tick in 0..total {
            let at = begun + period * tick;
            std::thread::sleep(at.saturating_duration_since(Instant::now()));
            if due.send((tick, Instant::now())).is_err() {
                return;
            }
        }
    });
    let free = Rc::new(Semaphore::new(callers.len()));
    let callers = Rc::new(RefCell::new(VecDeque::from(callers)));
    let mut tasks = JoinSet::new();
    while let Some((tick, at)) = ticks.recv().await {
        let (free, callers) = (Rc::clone(&free), Rc::clone(&callers));
        tasks.spawn_local(async move {
            let _place = free.acquire().await.map_err(|e| e.to_string())?;
            // The one that rested longest, so that all connections are used.
            let caller = callers.borrow_mut().pop_front();
            let mut caller = caller.expect("there are as many callers as places");
            caller.call().await?;
            let took = at.elapsed();
            callers.borrow_mut().push_back(caller);
            Ok::<_, String>((tick, took))
        });
    }
    let mut all = Quantiles::default();
    while let Some(ended) = tasks.join_next().await {
        let (tick, took) = ended.map_err(|e| e.to_string())??;
        if tick >= skipped {
            all.add(took);
        }
    }
    pacer.join().map_err(|_| "the pacer failed".to_owned())?;
    Ok((all, u64::from(total)))
}

fn periods(time: Duration, period: Duration) -> u32 {
    u32::try_from((time.as_nanos() + period.as_nanos() / 2) / period.as_nanos()).unwrap_or(u32::MAX)
}
