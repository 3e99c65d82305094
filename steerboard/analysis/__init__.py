"""What is composed from a Runner's answers: ablations, controls, tasks, statistics, catalogues."""
