//! Waiting for several things at once: polled by the one task that asked, so dropping the request drops them all.

use std::pin::Pin;
use std::task::Poll;

use crate::Result;

/// Both answers. The first one's error ends it; the second one's waits for the first, so that the same two questions
/// always give the same error.
pub(super) async fn both<A, B>(
    first: impl Future<Output = Result<A>>,
    second: impl Future<Output = Result<B>>,
) -> Result<(A, B)> {
    let (mut first, mut second) = (std::pin::pin!(first), std::pin::pin!(second));
    let (mut first_done, mut second_done) = (None, None);
    std::future::poll_fn(move |context| {
        if first_done.is_none()
            && let Poll::Ready(answer) = first.as_mut().poll(context)
        {
            match answer {
                Ok(answer) => first_done = Some(answer),
                Err(err) => return Poll::Ready(Err(err)),
            }
        }
        if second_done.is_none()
            && let Poll::Ready(answer) = second.as_mut().poll(context)
        {
            second_done = Some(answer);
        }
        match (first_done.take(), second_done.take()) {
            (Some(first), Some(second)) => Poll::Ready(second.map(|second| (first, second))),
            (first, second) => {
                (first_done, second_done) = (first, second);
                Poll::Pending
            }
        }
    })
    .await
}

/// All answers in the order of the questions, at most `n_at_once` (at least 1) of them under way at a time.
pub(super) async fn all<T, F: Future<Output = T>>(questions: impl IntoIterator<Item = F>, n_at_once: usize) -> Vec<T> {
    let mut waiting = questions.into_iter();
    let mut under_way: Vec<(usize, Pin<Box<F>>)> = Vec::new();
    let mut answers: Vec<Option<T>> = Vec::new();
    std::future::poll_fn(|context| {
        loop {
            while under_way.len() < n_at_once.max(1)
                && let Some(question) = waiting.next()
            {
                under_way.push((answers.len(), Box::pin(question)));
                answers.push(None);
            }
            let n_before = under_way.len();
            under_way.retain_mut(|(question_idx, question)| match question.as_mut().poll(context) {
                Poll::Ready(answer) => {
                    answers[*question_idx] = Some(answer);
                    false
                }
                Poll::Pending => true,
            });
            if under_way.len() == n_before {
                // Nothing came to an end, so nothing new may start; each of these will wake us.
                return if n_before == 0 { Poll::Ready(()) } else { Poll::Pending };
            }
        }
    })
    .await;
    answers.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests;
