//! Answers that take along what they hold of limits.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::{Stream, StreamExt as _};
use upstream::{Body, Item, ItemStream, Outcome, Reply};

use super::Admitted;

impl Admitted {
    /// The same answer, of which the bytes are counted, and which gives back what it holds at its end.
    pub fn over(self, reply: Reply) -> Reply {
        if self.0.is_empty() {
            return reply;
        }
        match reply {
            Reply::Ready(outcome) => Reply::Ready(self.over_outcome(outcome)),
            Reply::Stream(items) => Reply::Stream(Box::pin(Items { items, admitted: Some(self) })),
        }
    }

    fn over_outcome(self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Error(error) => {
                self.passed(error.as_bytes().len());
                Outcome::Error(error)
            }
            Outcome::Result(Body::Whole(raw)) => {
                self.passed(raw.as_bytes().len());
                Outcome::Result(Body::Whole(raw))
            }
            Outcome::Result(Body::Stream(chunks)) => {
                // It goes with the last chunk.
                let counted = chunks.inspect(move |chunk| {
                    if let Ok(chunk) = chunk {
                        self.passed(chunk.len());
                    }
                });
                Outcome::Result(Body::Stream(Box::pin(counted)))
            }
        }
    }
}

struct Items {
    items: ItemStream,
    admitted: Option<Admitted>,
}

impl Stream for Items {
    type Item = Result<Item, upstream::CallError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = ready!(self.items.poll_next_unpin(cx));
        let Some(admitted) = self.admitted.take() else { return Poll::Ready(item) };
        Poll::Ready(match item {
            Some(Ok(Item::Done(outcome))) => Some(Ok(Item::Done(admitted.over_outcome(outcome)))),
            Some(Ok(item)) => {
                if let Item::Notification { params: Some(params), .. } = &item {
                    admitted.passed(params.as_bytes().len());
                }
                self.admitted = Some(admitted);
                Some(Ok(item))
            }
            end => end,
        })
    }
}
