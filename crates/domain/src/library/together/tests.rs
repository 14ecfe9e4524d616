use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::task::{Context, Waker};

use super::*;
use crate::{Error, Kind};

/// Questions that are answered when the test says so.
#[derive(Clone, Default)]
struct Desk {
    answered: Rc<RefCell<HashMap<usize, Result<usize>>>>,
    n_under_way: Rc<Cell<usize>>,
}

impl Desk {
    async fn ask(self, question: usize) -> Result<usize> {
        self.n_under_way.set(self.n_under_way.get() + 1);
        let answer = std::future::poll_fn(|_| match self.answered.borrow_mut().remove(&question) {
            Some(answer) => Poll::Ready(answer),
            None => Poll::Pending,
        })
        .await;
        self.n_under_way.set(self.n_under_way.get() - 1);
        answer
    }

    fn answer(&self, question: usize, answer: Result<usize>) {
        self.answered.borrow_mut().insert(question, answer);
    }
}

fn poll<T>(future: &mut Pin<Box<impl Future<Output = T>>>) -> Option<T> {
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}

fn failed(kind: Kind) -> Result<usize> {
    Err(Error::new(kind, "no"))
}

#[test]
fn both_wait_for_each_other_in_either_order() {
    for order in [[0, 1], [1, 0]] {
        let desk = Desk::default();
        let mut pair = Box::pin(both(desk.clone().ask(0), desk.clone().ask(1)));
        assert!(poll(&mut pair).is_none());
        assert_eq!(desk.n_under_way.get(), 2, "both are under way at once");
        desk.answer(order[0], Ok(order[0]));
        assert!(poll(&mut pair).is_none());
        desk.answer(order[1], Ok(order[1]));
        assert_eq!(poll(&mut pair).unwrap().unwrap(), (0, 1));
    }
}

#[test]
fn the_first_error_wins_whichever_came_sooner() {
    let desk = Desk::default();
    let mut pair = Box::pin(both(desk.clone().ask(0), desk.clone().ask(1)));
    desk.answer(1, failed(Kind::ImageCorrupt));
    assert!(poll(&mut pair).is_none(), "the second one's error waits for the first");
    desk.answer(0, failed(Kind::NoFaceInImage));
    assert_eq!(poll(&mut pair).unwrap().unwrap_err().kind(), Kind::NoFaceInImage);

    let mut pair = Box::pin(both(desk.clone().ask(0), desk.clone().ask(1)));
    desk.answer(0, failed(Kind::NoFaceInImage));
    assert_eq!(poll(&mut pair).unwrap().unwrap_err().kind(), Kind::NoFaceInImage, "without waiting for the second");
}

#[test]
fn all_answers_come_in_the_order_of_the_questions_and_few_at_once() {
    let desk = Desk::default();
    let mut five = Box::pin(all((0..5).map(|question| desk.clone().ask(question)), 2));
    assert!(poll(&mut five).is_none());
    assert_eq!(desk.n_under_way.get(), 2);
    for question in [1, 0, 2, 4, 3] {
        desk.answer(question, Ok(question));
        let done = poll(&mut five);
        assert!(desk.n_under_way.get() <= 2);
        if question == 3 {
            let answers: Vec<_> = done.expect("all are answered").into_iter().map(Result::unwrap).collect();
            assert_eq!(answers, [0, 1, 2, 3, 4]);
            return;
        }
        assert!(done.is_none());
    }
}

#[test]
fn no_question_is_no_answer() {
    let desk = Desk::default();
    let mut none = Box::pin(all(Vec::from_iter((0..0).map(|question| desk.clone().ask(question))), 0));
    assert!(poll(&mut none).unwrap().is_empty());
}
