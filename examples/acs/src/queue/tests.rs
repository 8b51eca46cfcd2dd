use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn failure(exit: Exit) -> Failure {
    Failure::new(exit, "why")
}

fn deleted() -> Outcome {
    Outcome::Settled(Ok(()))
}

fn transient() -> Outcome {
    Outcome::Transient { failure: failure(Exit::Service), in_doubt: true, delay: None }
}

/// All that may begin now.
fn begin(queue: &mut Queue, now: Instant) -> Vec<Item> {
    let begun = std::iter::from_fn(|| match queue.next(now) {
        Next::Begin(item) => Some(item),
        Next::Wait(_) | Next::Finished => None,
    });
    begun.collect()
}

fn wait(queue: &mut Queue, now: Instant) -> (Duration, Reason) {
    let Next::Wait(Some((until, reason))) = queue.next(now) else { panic!("nothing to wait for") };
    (until - now, reason)
}

#[test]
fn queue_puts_a_throttled_user_back_and_pauses_all() {
    let now = Instant::now();
    for (asked, pause) in [(None, 30), (Some(7), 7), (Some(0), 30), (Some(300), 300)] {
        let mut queue = Queue::new(10, 500, SECOND);
        let mut items = begin(&mut queue, now);
        assert_eq!(items.len(), AT_ONCE);
        let throttled = Outcome::Throttled(asked.map(Duration::from_secs));
        assert!(queue.settle(items.remove(0), throttled, now).is_none());
        // What was under way is done, and nothing begins.
        for item in items {
            assert!(matches!(queue.settle(item, deleted(), now), Some(Ok(()))));
        }
        assert_eq!(wait(&mut queue, now), (pause * SECOND, Reason::Throttled));
        let begun = begin(&mut queue, now + pause * SECOND);
        assert!(begun.iter().map(|item| item.index).eq([0, 8, 9]));
    }
}

#[test]
fn queue_ends_after_ten_pauses_without_a_deletion_in_between() {
    for deletes in [true, false] {
        let mut now = Instant::now();
        let mut queue = Queue::new(100, 500, SECOND);
        for _ in 0..MAX_PAUSES {
            let mut items = begin(&mut queue, now);
            if deletes {
                queue.settle(items.remove(0), deleted(), now);
            }
            for item in items {
                queue.settle(item, Outcome::Throttled(None), now);
            }
            now += THROTTLED;
        }
        assert_eq!(matches!(queue.next(now), Next::Begin(_)), deletes);
        let stop = queue.into_stop().map(|stop| (stop.exit, stop.message));
        let reason = (Exit::Throttled, "throttled 10 times in a row".to_owned());
        assert_eq!(stop, (!deletes).then_some(reason));
    }
}

#[test]
fn queue_ends_if_the_service_asks_for_more_than_five_minutes() {
    let now = Instant::now();
    let mut queue = Queue::new(1, 500, SECOND);
    let item = begin(&mut queue, now).remove(0);
    queue.settle(item, Outcome::Throttled(Some(301 * SECOND)), now);
    assert!(matches!(queue.next(now), Next::Finished));
    assert_eq!(queue.into_stop().unwrap().message, "throttled: the service asks for 5m1s");
}

#[test]
fn queue_waits_for_a_service_out_of_reach_as_long_as_one_call() {
    let start = Instant::now();
    let mut now = start;
    let mut queue = Queue::new(1000, 500, 100 * SECOND);
    let mut attempts = 0;
    while let Next::Begin(_) | Next::Wait(_) = {
        for item in begin(&mut queue, now) {
            attempts += 1;
            queue.settle(item, Outcome::Unreached(failure(Exit::Service)), now);
        }
        queue.next(now)
    } {
        now += SECOND;
    }
    assert_eq!(now - start, 100 * SECOND);
    assert!(attempts <= 10 * AT_ONCE, "{attempts}");
    let stop = queue.into_stop().unwrap();
    assert_eq!((stop.exit, &*stop.message), (Exit::Service, "not reached: why"));
}

#[test]
fn queue_takes_an_unknown_user_for_deleted_after_an_attempt_in_doubt() {
    for (in_doubt, deleted) in [(true, true), (false, false)] {
        let now = Instant::now();
        let mut queue = Queue::new(1, 500, SECOND);
        let item = begin(&mut queue, now).remove(0);
        let failed = failure(Exit::Service);
        let outcome = Outcome::Transient { failure: failed, in_doubt, delay: None };
        assert!(queue.settle(item, outcome, now).is_none());
        assert_eq!(wait(&mut queue, now), (FIRST_DELAY, Reason::Retry));
        let later = now + FIRST_DELAY;
        let item = begin(&mut queue, later).remove(0);
        let result = queue.settle(item, Outcome::Settled(Err(failure(Exit::NotFound))), later);
        assert_eq!(result.unwrap().is_ok(), deleted);
        assert!(matches!(queue.next(later), Next::Finished));
    }
}

#[test]
fn queue_attempts_a_deletion_four_times() {
    let mut now = Instant::now();
    let mut queue = Queue::new(1, 500, SECOND);
    for delay in [800, 1600, 3200] {
        let item = begin(&mut queue, now).remove(0);
        assert!(queue.settle(item, transient(), now).is_none());
        assert_eq!(wait(&mut queue, now).0, Duration::from_millis(delay));
        now += Duration::from_millis(delay);
    }
    let item = begin(&mut queue, now).remove(0);
    assert!(matches!(queue.settle(item, transient(), now), Some(Err(_))));
    assert!(matches!(queue.next(now), Next::Finished));
}

#[test]
fn queue_that_is_stopped_lets_requests_end() {
    let now = Instant::now();
    let mut queue = Queue::new(100, 500, SECOND);
    let mut items = begin(&mut queue, now);
    let hopeless = Outcome::Hopeless(failure(Exit::Authentication));
    assert!(matches!(queue.settle(items.remove(0), hopeless, now), Some(Err(_))));
    queue.stop(Exit::Interrupted(130), "interrupted");
    for item in items {
        assert!(matches!(queue.next(now), Next::Wait(None)));
        assert!(matches!(queue.settle(item, deleted(), now), Some(Ok(()))));
    }
    assert!(matches!(queue.next(now), Next::Finished));
    // The first reason counts.
    assert_eq!(queue.into_stop().unwrap().exit, Exit::Authentication);
}
