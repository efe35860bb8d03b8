"""The verbs, one file per group. Each module has VERBS: name -> Verb. They ask, call a front door, give the answer."""
