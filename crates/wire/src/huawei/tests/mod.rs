pub(super) mod signing;
