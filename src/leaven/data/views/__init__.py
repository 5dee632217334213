"""Operations that make views of a batch: each a small frozen dataclass holding its ranges."""
