//! Pages of a list.

/// Items per page: `default` if the request says nothing or 0, `max` at most.
pub(super) fn limit(asked: Option<u32>, default: usize, max: usize) -> usize {
    match asked {
        None | Some(0) => default,
        Some(asked) => (asked as usize).min(max),
    }
}

/// Cuts a list that was read with one item too many to `limit`, and says whether there was more.
pub(super) fn cut<T>(items: &mut Vec<T>, limit: usize) -> bool {
    let has_more = items.len() > limit;
    items.truncate(limit);
    has_more
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_has_a_default_and_a_maximum() {
        assert_eq!(limit(None, 20, 100), 20);
        assert_eq!(limit(Some(0), 20, 100), 20);
        assert_eq!(limit(Some(7), 20, 100), 7);
        assert_eq!(limit(Some(u32::MAX), 20, 100), 100);
    }

    #[test]
    fn one_item_too_many_means_more() {
        let mut items = vec![1, 2, 3];
        assert!(!cut(&mut items, 3));
        assert!(cut(&mut items, 2));
        assert_eq!(items, [1, 2]);
    }
}
