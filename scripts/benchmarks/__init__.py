"""ferjax beside its peers: one driver, a process for each contender, and they take turns; and ferjax's own timings."""
