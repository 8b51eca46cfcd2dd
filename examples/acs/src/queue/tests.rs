use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn failure(exit: Exit) -> Failure {
    Failure::new(exit, "why")
}

/// All that may begin now.
fn begin(queue: &mut Queue, now: Instant) -> Vec<Item> {
    let begun = std::iter::from_fn(|| match queue.next(now) {
        Next::Begin(item) => Some(item),
        Next::Wait(_) | Next::Finished => None,
    });
    begun.collect()
}

fn wait(queue: &mut Queue, now: Instant) -> Duration {
    let Next::Wait(wait) = queue.next(now) else { panic!("there is nothing to wait for") };
    wait
}

#[test]
fn a_throttled_user_is_put_back_and_all_pause() {
    let now = Instant::now();
    for (asked, pause) in [(None, 30), (Some(7), 7), (Some(0), 30), (Some(300), 300)] {
        let mut queue = Queue::new(10, 500, SECOND);
        let mut items = begin(&mut queue, now);
        assert_eq!(items.len(), AT_ONCE);
        let asked = asked.map(Duration::from_secs);
        let settled = queue.settle(items.remove(0), Answer::Throttled(asked), now);
        assert!(matches!(settled, Settled::PutBack));
        // What was under way is done, and nothing begins.
        for item in items {
            assert!(matches!(queue.settle(item, Answer::Deleted, now), Settled::Deleted));
        }
        assert_eq!(wait(&mut queue, now), pause * SECOND);
        assert_eq!(queue.pause(now), Some(pause * SECOND));
        let later = now + pause * SECOND;
        let rest: Vec<usize> = begin(&mut queue, later).iter().map(|item| item.index).collect();
        assert_eq!((rest, queue.pause(later)), (vec![0, 8, 9], None));
    }
}

#[test]
fn throttling_without_end_ends_the_run() {
    let mut now = Instant::now();
    let mut queue = Queue::new(100, 500, SECOND);
    for _ in 0..PAUSES_IN_A_ROW {
        let items = begin(&mut queue, now);
        assert_eq!(items.len(), AT_ONCE);
        for item in items {
            queue.settle(item, Answer::Throttled(None), now);
        }
        now += THROTTLED;
    }
    assert!(matches!(queue.next(now), Next::Finished));
    let stop = queue.into_stop().unwrap();
    assert_eq!((stop.exit, &*stop.message), (Exit::Throttled, "throttled 10 times in a row"));

    let mut queue = Queue::new(1, 500, SECOND);
    let item = begin(&mut queue, now).remove(0);
    queue.settle(item, Answer::Throttled(Some(301 * SECOND)), now);
    assert!(matches!(queue.next(now), Next::Finished));
    assert_eq!(queue.into_stop().unwrap().message, "throttled: the service asks for 5m1s");
}

#[test]
fn a_deletion_between_two_pauses_lets_the_run_go_on() {
    let mut now = Instant::now();
    let mut queue = Queue::new(100, 500, SECOND);
    for _ in 0..3 * PAUSES_IN_A_ROW {
        let mut items = begin(&mut queue, now);
        queue.settle(items.remove(0), Answer::Deleted, now);
        for item in items {
            queue.settle(item, Answer::Throttled(None), now);
        }
        now += THROTTLED;
    }
    assert!(matches!(queue.next(now), Next::Begin(_)));
}

#[test]
fn a_service_out_of_reach_is_waited_for_as_long_as_for_one_call() {
    let start = Instant::now();
    let mut now = start;
    let mut queue = Queue::new(1000, 500, 100 * SECOND);
    let mut tried = 0;
    while let Next::Begin(_) | Next::Wait(_) = {
        for item in begin(&mut queue, now) {
            tried += 1;
            queue.settle(item, Answer::Unreached(failure(Exit::Service)), now);
        }
        queue.next(now)
    } {
        now += SECOND;
    }
    assert_eq!(now - start, 100 * SECOND);
    assert!(tried <= 10 * AT_ONCE, "{tried}");
    let stop = queue.into_stop().unwrap();
    assert_eq!((stop.exit, &*stop.message), (Exit::Service, "not reached: why"));
}

#[test]
fn what_is_in_doubt_was_deleted_if_it_is_unknown_afterwards() {
    for (in_doubt, deleted) in [(true, true), (false, false)] {
        let now = Instant::now();
        let mut queue = Queue::new(1, 500, SECOND);
        let item = begin(&mut queue, now).remove(0);
        let failed = failure(Exit::Service);
        let answer = Answer::Transient { failure: failed, in_doubt, delay: None };
        assert!(matches!(queue.settle(item, answer, now), Settled::PutBack));
        assert_eq!(wait(&mut queue, now), FIRST_DELAY);
        let later = now + FIRST_DELAY;
        let item = begin(&mut queue, later).remove(0);
        let settled = queue.settle(item, Answer::Unknown(failure(Exit::NotFound)), later);
        assert_eq!(matches!(settled, Settled::Deleted), deleted, "{settled:?}");
        assert!(matches!(queue.next(later), Next::Finished));
    }
}

#[test]
fn a_transient_failure_is_tried_four_times() {
    let mut now = Instant::now();
    let mut queue = Queue::new(1, 500, SECOND);
    for delay in [800, 1600, 3200] {
        let item = begin(&mut queue, now).remove(0);
        let failure = failure(Exit::Service);
        queue.settle(item, Answer::Transient { failure, in_doubt: true, delay: None }, now);
        assert_eq!(wait(&mut queue, now), Duration::from_millis(delay));
        now += Duration::from_millis(delay);
    }
    let item = begin(&mut queue, now).remove(0);
    let answer = Answer::Transient { failure: failure(Exit::Service), in_doubt: true, delay: None };
    assert!(matches!(queue.settle(item, answer, now), Settled::Failed(_)));
    assert!(matches!(queue.next(now), Next::Finished));
}

#[test]
fn a_stop_lets_what_is_under_way_end() {
    let now = Instant::now();
    let mut queue = Queue::new(100, 500, SECOND);
    let mut items = begin(&mut queue, now);
    let hopeless = Answer::Hopeless(failure(Exit::Authentication));
    assert!(matches!(queue.settle(items.remove(0), hopeless, now), Settled::Failed(_)));
    queue.stop(Exit::Interrupted, "interrupted");
    for item in items {
        assert!(matches!(queue.next(now), Next::Wait(_)));
        assert!(matches!(queue.settle(item, Answer::Deleted, now), Settled::Deleted));
    }
    assert!(matches!(queue.next(now), Next::Finished));
    // The first reason counts.
    assert_eq!(queue.into_stop().unwrap().exit, Exit::Authentication);
}
