"""On the path of workers that tests start: a kind of job that trains nothing, so that many faults can be tested."""

import vur.jobs.kinds

vur.jobs.kinds.KINDS["test"] = "job_kinds"
vur.jobs.kinds.KINDS["test-batch"] = "job_kinds"
vur.jobs.kinds.QUEUES["test-batch"] = vur.jobs.kinds.BATCHES
