"""In the path of workers that tests start: a kind of job that takes no training, so that faults can be tried by the dozen."""

import vur.jobs.queue

vur.jobs.queue.HANDLERS["test"] = "job_kinds:work"
