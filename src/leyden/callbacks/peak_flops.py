"""What a GPU could compute at best, from its vendor's data sheet."""

from __future__ import annotations

import torch

# In 10^12 operations a second, dense (no structured sparsity), with 32-bit accumulation:
# 16-bit floats, TF32, 32-bit and 64-bit floats; 0 where the chip does not have it. A chip is
# found by the first entry all of whose words are in its name.
_CHIPS: dict[tuple[str, ...], tuple[float, float, float, float]] = {
    ("h200",): (989.4, 494.7, 66.9, 33.5),
    ("h100", "nvl"): (835.5, 417.5, 60.0, 30.0),
    ("h100", "pcie"): (756.0, 378.0, 51.2, 25.6),
    ("h100",): (989.4, 494.7, 66.9, 33.5),
    ("a100",): (312.0, 156.0, 19.5, 9.7),
    ("a6000",): (154.8, 77.4, 38.7, 0),
    ("a40",): (149.7, 74.8, 37.4, 0),
    ("a10",): (125.0, 62.5, 31.2, 0),
    ("l40s",): (362.0, 183.0, 91.6, 0),
    ("l40",): (181.0, 90.5, 90.5, 0),
    ("l4",): (121.0, 60.0, 30.3, 0),
    ("rtx 4090",): (165.2, 82.6, 82.6, 0),
    ("rtx 3090",): (71.0, 35.6, 35.6, 0),
    ("v100", "pcie"): (112.0, 0, 14.0, 7.0),
    ("v100",): (125.0, 0, 15.7, 7.8),
    ("t4",): (65.0, 0, 8.1, 0),
}


def peak_flops(device: torch.device, precision: str) -> float | None:
    """Return the floating-point operations a second of *device* in *precision*; None if it is not in the table."""
    if device.type != "cuda":
        return None
    tf32 = torch.get_float32_matmul_precision() != "highest"
    return of_chip(torch.cuda.get_device_name(device), precision, tf32)


def of_chip(name: str, precision: str, tf32: bool = False) -> float | None:
    """Return the floating-point operations a second of the GPU called *name*.

    Args:
        name: As the driver gives it, such as ``"NVIDIA A100-SXM4-80GB"``.
        precision: As the trainer gives it, such as ``"bf16-mixed"``.
        tf32: Whether 32-bit products may be computed in TF32.
    """
    lowered = name.lower()
    half, tensor, single, double = next(
        (speeds for words, speeds in _CHIPS.items() if all(word in lowered for word in words)), (0, 0, 0, 0)
    )
    if precision.startswith("64"):
        speed = double
    elif precision.startswith("32"):
        speed = tensor if tf32 and tensor else single
    else:
        speed = half
    return speed * 1e12 or None
