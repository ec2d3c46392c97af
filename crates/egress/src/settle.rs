//! A future that is polled again at once where it woke itself.
//!
//! hyper's connections wake their own task while they are being polled, once for each body. To the runtime
//! that is new work: it wakes another thread for it, and the connection wanders between threads, which
//! costs a call at rest more than everything that the gateway does with it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// How often it is polled in a row: one that always wakes itself must let others work.
const POLLS_MAX: usize = 4;

/// The future.
pub struct Settle<F> {
    inner: Pin<Box<F>>,
    own: Arc<Own>,
    waker: Waker,
}

/// Where its wakers lead.
#[derive(Default)]
struct Own {
    task: AtomicWaker,
    /// Whether it is being polled: then a wake is only noted.
    polled: AtomicBool,
    woken: AtomicBool,
}

impl Wake for Own {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        if !self.polled.load(Ordering::SeqCst) {
            self.task.wake();
        }
    }
}

impl<F: Future> Settle<F> {
    /// Wraps a future.
    pub fn new(inner: F) -> Self {
        let own = Arc::new(Own::default());
        let waker = Waker::from(Arc::clone(&own));
        Self { inner: Box::pin(inner), own, waker }
    }
}

impl<F: Future> Future for Settle<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        let own = &*this.own;
        own.task.register(cx.waker());
        own.polled.store(true, Ordering::SeqCst);
        for _ in 0..POLLS_MAX {
            own.woken.store(false, Ordering::SeqCst);
            if let Poll::Ready(output) = this.inner.as_mut().poll(&mut Context::from_waker(&this.waker)) {
                return Poll::Ready(output);
            }
            if !own.woken.load(Ordering::SeqCst) {
                break;
            }
        }
        own.polled.store(false, Ordering::SeqCst);
        // Woken since the last look, perhaps by another thread that saw it being polled: nobody else tells
        // the task.
        if own.woken.load(Ordering::SeqCst) {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

/// Runs what a connection needs beside it, settled.
#[derive(Debug, Clone, Copy, Default)]
pub struct SettledExecutor;

impl<F> hyper::rt::Executor<F> for SettledExecutor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        tokio::spawn(Settle::new(future));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// Wakes itself this often, and ends.
    struct SelfWaking(usize);

    impl Future for SelfWaking {
        type Output = ();

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
            if self.0 == 0 {
                return Poll::Ready(());
            }
            self.0 -= 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    }

    #[derive(Default)]
    struct Counted(AtomicUsize);

    impl Wake for Counted {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn polls(wakes: usize) -> (usize, usize) {
        let counted = Arc::new(Counted::default());
        let waker = Waker::from(Arc::clone(&counted));
        let mut settle = Settle::new(SelfWaking(wakes));
        let mut polls = 1;
        while Pin::new(&mut settle).poll(&mut Context::from_waker(&waker)).is_pending() {
            assert_eq!(counted.0.load(Ordering::SeqCst), polls, "it is told to poll again");
            polls += 1;
        }
        (polls, counted.0.load(Ordering::SeqCst))
    }

    #[test]
    fn one_that_wakes_itself_ends_in_one_poll() {
        assert_eq!(polls(0), (1, 0));
        assert_eq!(polls(POLLS_MAX - 1), (1, 0));
    }

    #[test]
    fn one_that_does_not_stop_waking_itself_lets_others_work() {
        assert_eq!(polls(POLLS_MAX), (2, 1));
        assert_eq!(polls(2 * POLLS_MAX), (3, 2));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_wake_from_another_thread_is_never_lost() {
        for _ in 0..2_000 {
            let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
            let waiting = tokio::spawn(Settle::new(async move {
                SelfWaking(1).await;
                receiver.await
            }));
            sender.send(()).expect("somebody waits");
            assert!(waiting.await.expect("it ends").is_ok());
        }
    }
}
