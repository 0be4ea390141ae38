"""Which notebook is which chapter: the one place that turns a chapter's number into its
file name."""

CHAPTERS = {
    1: "01_why_recurrence_came_back",
    2: "02_linear_scan",
    3: "03_lru",
    4: "04_hippo",
    5: "05_discretization",
    6: "06_convolution_or_recurrence",
    7: "07_hungry_hungry_hippos",
    8: "08_rwkv",
    9: "09_xlstm",
    10: "10_mamba",
}
